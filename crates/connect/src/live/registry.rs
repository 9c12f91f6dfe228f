//! The client of a Schema Registry: schemas by id, the newest one of a subject, and registering one. Whatever was
//! answered is kept, since an id always means the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Builder;

use super::LiveOptions;
use crate::error::{ConnectError, Result};

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a question is asked again while the registry does not answer.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });
/// How long an id that is not there is taken for wrong, before it is asked for again: a registry that is copied from
/// another may learn of it later.
const UNKNOWN: Duration = Duration::from_secs(30);
/// The first byte of a value with the id of its schema.
pub(crate) const MAGIC: u8 = 0;

/// A schema as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    /// "AVRO", "PROTOBUF" or "JSON".
    pub kind: String,
    /// Its text.
    pub text: String,
    /// What it refers to: names (as it imports them), and their texts.
    pub references: Vec<(String, String)>,
}

/// Asks a Schema Registry. Its methods block, and may be called from any thread, at the same time.
pub(crate) struct Registry {
    address: String,
    credentials: Option<(String, String)>,
    client: reqwest::Client,
    known: Mutex<HashMap<u32, Known>>,
}

#[derive(Clone)]
enum Known {
    Schema(Arc<Registered>),
    Missing(Instant),
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
    id: Option<u32>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
struct Id {
    id: u32,
}

impl Registry {
    /// A client of the registry at `address`, who it is and whom it trusts as `options` say.
    pub(crate) fn new(address: &str, options: &LiveOptions) -> Result<Self> {
        let fail = |message: String| ConnectError::Live {
            source_name: "the Schema Registry".to_owned(),
            message,
            help: "give its address with schemaRegistry => 'http://host:port'".to_owned(),
        };
        let parsed = url::Url::parse(address).map_err(|error| fail(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(fail(format!("{address} is no address of a web server")));
        }
        // A connection belongs to the runtime of its question.
        let mut client = reqwest::Client::builder()
            .timeout(ANSWER)
            .pool_max_idle_per_host(0);
        if let Some(path) = &options.registry_authorities {
            let pem =
                std::fs::read(path).map_err(|error| ConnectError::from_io(path.clone(), error))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem);
            let authorities = authorities.ok().filter(|some| !some.is_empty());
            let authorities = authorities.ok_or_else(|| ConnectError::OptionValue {
                name: "schemaRegistry.ca",
                value: path.clone(),
                expected: "the path of a PEM file with certificates".to_owned(),
            })?;
            for authority in authorities {
                client = client.add_root_certificate(authority);
            }
        }
        let client = client.build();
        Ok(Self {
            address: address.trim_end_matches('/').to_owned(),
            credentials: options.registry_credentials.clone(),
            client: client.map_err(|error| fail(error.to_string()))?,
            known: Mutex::default(),
        })
    }

    /// The schema of an id; `None` if there is none.
    pub(crate) fn schema(&self, id: u32) -> Result<Option<Arc<Registered>>> {
        match self.known.lock().get(&id) {
            Some(Known::Schema(schema)) => return Ok(Some(Arc::clone(schema))),
            Some(Known::Missing(since)) if since.elapsed() < UNKNOWN => return Ok(None),
            _ => {}
        }
        // It may have been registered a moment ago, with another node of the registry.
        let mut answer = None;
        for pause in [0, 100, 400] {
            std::thread::sleep(Duration::from_millis(pause));
            answer = self.ask(&format!("schemas/ids/{id}"), None)?;
            if answer.is_some() {
                break;
            }
        }
        let known = match answer {
            Some(text) => Known::Schema(Arc::new(self.whole(&text)?)),
            None => Known::Missing(Instant::now()),
        };
        self.known.lock().insert(id, known.clone());
        Ok(match known {
            Known::Schema(schema) => Some(schema),
            Known::Missing(_) => None,
        })
    }

    /// The newest schema of a subject, with its id; `None` if there is none.
    pub(crate) fn newest(&self, subject: &str) -> Result<Option<(u32, Arc<Registered>)>> {
        let path = format!("subjects/{}/versions/latest", escaped(subject));
        let Some(text) = self.ask(&path, None)? else {
            return Ok(None);
        };
        let schema = Arc::new(self.whole(&text)?);
        let id = self.parse::<Answer>(&text)?.id.unwrap_or_default();
        Ok(Some((id, schema)))
    }

    /// Registers a schema; its id, an old one if the same is registered already.
    pub(crate) fn register(&self, subject: &str, kind: &str, text: &str) -> Result<u32> {
        let path = format!("subjects/{}/versions", escaped(subject));
        let body = match kind {
            "AVRO" => json!({ "schema": text }),
            _ => json!({ "schema": text, "schemaType": kind }),
        };
        match self.ask(&path, Some(body.to_string()))? {
            Some(answer) => Ok(self.parse::<Id>(&answer)?.id),
            None => Err(self.failed("it has no subjects; is the address right?")),
        }
    }

    /// A schema with what it refers to.
    fn whole(&self, text: &str) -> Result<Registered> {
        let answer: Answer = self.parse(text)?;
        let mut references = Vec::new();
        let mut waiting = answer.references;
        while let Some(reference) = waiting.pop() {
            if references.iter().any(|(name, _)| *name == reference.name) {
                continue;
            }
            let (subject, version) = (escaped(&reference.subject), reference.version);
            let path = format!("subjects/{subject}/versions/{version}");
            let found = self.ask(&path, None)?.ok_or_else(|| {
                self.failed(&format!(
                    "{} refers to version {version} of {}, which is not there",
                    reference.name, reference.subject
                ))
            })?;
            let found: Answer = self.parse(&found)?;
            references.push((reference.name, found.schema));
            waiting.extend(found.references);
        }
        Ok(Registered {
            kind: answer.kind.unwrap_or_else(|| "AVRO".to_owned()),
            text: answer.schema,
            references,
        })
    }

    fn parse<'a, T: Deserialize<'a>>(&self, text: &'a str) -> Result<T> {
        serde_json::from_str(text)
            .map_err(|error| self.failed(&format!("its answer is not understood ({error})")))
    }

    fn failed(&self, message: &str) -> ConnectError {
        ConnectError::Live {
            source_name: format!("the Schema Registry {}", self.address),
            message: message.to_owned(),
            help: "see to its address and what is registered there".to_owned(),
        }
    }

    /// Asks until there is an answer, or for too long; `None` for "not found".
    fn ask(&self, path: &str, body: Option<String>) -> Result<Option<String>> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            let message = match self.ask_once(path, body.clone()) {
                Ok((status, text)) if status.is_success() => return Ok(Some(text)),
                Ok((StatusCode::NOT_FOUND, _)) => return Ok(None),
                Ok((status, text))
                    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS =>
                {
                    return Err(self.failed(&format!("{status}: {}", text.trim())));
                }
                Ok((status, text)) => format!("{status}: {}", text.trim()),
                // It will be no other the next time.
                Err(message) if message.contains("certificate") => {
                    return Err(ConnectError::Live {
                        source_name: format!("the Schema Registry {}", self.address),
                        message,
                        help: "if it is that the machine does not know its authority, name that one's PEM file with schemaRegistry.ca".to_owned(),
                    });
                }
                Err(message) => message,
            };
            if begun.elapsed() > PATIENCE {
                return Err(ConnectError::Unreachable {
                    source_name: format!("the Schema Registry {}", self.address),
                    message,
                    seconds: begun.elapsed().as_secs(),
                });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    fn ask_once(
        &self,
        path: &str,
        body: Option<String>,
    ) -> std::result::Result<(StatusCode, String), String> {
        let url = format!("{}/{path}", self.address);
        let mut request = match body {
            Some(body) => self
                .client
                .post(url)
                .header("Content-Type", "application/vnd.schemaregistry.v1+json")
                .body(body),
            None => self.client.get(url),
        };
        if let Some((user, password)) = &self.credentials {
            request = request.basic_auth(user, Some(password));
        }
        let asked = async {
            let answer = request.send().await.map_err(explained)?;
            let status = answer.status();
            let text = answer.text().await;
            text.map(|text| (status, text)).map_err(explained)
        };
        // On a thread with a runtime of its own: the calling one may belong to another, which allows neither to wait nor
        // to drop one. Questions are few.
        let ask = || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(asked)
        };
        let answer = std::thread::scope(|scope| scope.spawn(ask).join());
        answer.unwrap_or_else(|_| Err("the question ended early".to_owned()))
    }
}

/// An error with its causes, but without the address, which is known.
fn explained(error: reqwest::Error) -> String {
    let error = error.without_url();
    let error: &dyn std::error::Error = &error;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn escaped(subject: &str) -> String {
    let bytes = url::form_urlencoded::byte_serialize(subject.as_bytes());
    bytes.collect::<String>().replace('+', "%20")
}

/// A value with the id of its schema, taken apart: the id, and what follows. The error says what is wrong.
pub(crate) fn unframe(value: &[u8]) -> std::result::Result<(u32, &[u8]), String> {
    match value {
        [MAGIC, a, b, c, d, rest @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        [MAGIC, ..] => Err("it ends before the id of its schema".to_owned()),
        [first, ..] => Err(format!(
            "it does not begin with the byte 0 and the id of a schema, but with {first}; without a Schema Registry, give \
             the schema itself"
        )),
        [] => Err("it is empty".to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server of fixed answers.
    pub(crate) struct Answers {
        /// Its address.
        pub(crate) address: String,
    }

    impl Answers {
        /// Answers these paths, and others with 404; as long as the process lives.
        pub(crate) fn start(answers: &[(&str, &str)]) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let answers: HashMap<String, String> = answers
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    let first = lines.next().unwrap().unwrap_or_default();
                    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                    while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                    let (status, text) = match answers.get(&path) {
                        Some(text) => ("200 OK", text.as_str()),
                        None => ("404 Not Found", "{}"),
                    };
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                        text.len()
                    );
                }
            });
            Self { address }
        }
    }

    #[test]
    fn schemas_come_with_what_they_refer_to() {
        let answers = Answers::start(&[
            (
                "/schemas/ids/3",
                r#"{"schema":"main","schemaType":"PROTOBUF","references":[{"name":"a.proto","subject":"a b","version":2}]}"#,
            ),
            (
                "/subjects/a%20b/versions/2",
                r#"{"schema":"inner","id":1,"references":[]}"#,
            ),
        ]);
        let registry = Registry::new(&answers.address, &LiveOptions::default()).unwrap();
        let found = registry.schema(3).unwrap().unwrap();
        assert_eq!(found.kind, "PROTOBUF");
        let inner = ("a.proto".to_owned(), "inner".to_owned());
        assert_eq!(found.references, [inner]);
        assert_eq!(registry.schema(4).unwrap(), None);
    }

    #[test]
    fn a_registry_is_asked_and_dropped_wherever_one_is() {
        let answers = Answers::start(&[("/schemas/ids/3", r#"{"schema":"main"}"#)]);
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let registry = Registry::new(&answers.address, &LiveOptions::default()).unwrap();
            assert!(registry.schema(3).unwrap().is_some());
            drop(registry);
        });
    }

    #[test]
    fn a_registry_that_is_down_is_an_error_and_no_answer() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let error = Registry::new(&address, &LiveOptions::default())
            .unwrap()
            .schema(1)
            .unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
        assert_eq!(error.kind(), crate::ErrorKind::Retry);
        assert!(Registry::new("localhost", &LiveOptions::default()).is_err());
    }
}
