//! A real broker of Apache Kafka: its jars from Maven Central in the cache folder, formatted and started on free ports
//! of this machine, and ended with the value that stands for it.
//!
//! `cargo xtask kafka` starts one to try things out; `cargo xtask brokers` runs the tests that need one.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::places::{Places, make_folder, read_text, write};
use crate::process::Call;
use crate::venv::lock;

/// How long a broker may take to start.
const START: Duration = Duration::from_secs(60);
/// Who may log in.
pub const USER: &str = "tidegate";
/// The password; it is no secret, since the broker listens on this machine only.
pub const PASSWORD: &str = "let me in";

/// `cargo xtask kafka`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The port for clients; a free one without it
    #[arg(long)]
    port: Option<u16>,
}

/// Starts a broker and keeps it until this process is ended.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let certificates = Certificates::make()?;
    let mut broker = Broker::start(arguments.port, &certificates, places)?;
    println!("Kafka at {} (end it with Ctrl-C)", broker.address);
    println!(
        "with a password ({USER}, {PASSWORD:?}) at {}",
        broker.guarded
    );
    println!(
        "with TLS at {}, with a password as well at {}; the authority is {}",
        broker.certified,
        broker.sealed,
        certificates.authority.display()
    );
    let status = broker.process.wait();
    let status = status.map_err(Failure::file("wait for", "the broker"))?;
    println!("the broker ended: {status}");
    Ok(())
}

/// A running broker; it ends with this value.
#[derive(Debug)]
pub struct Broker {
    /// `host:port` for clients.
    pub address: String,
    /// The same with SASL (PLAIN and SCRAM-SHA-256).
    pub guarded: String,
    /// The same with SASL over TLS.
    pub sealed: String,
    /// With TLS, for clients that have the certificate.
    pub certified: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Broker {
    /// Formats a node and starts it.
    pub fn start(
        port: Option<u16>,
        certificates: &Certificates,
        places: &Places,
    ) -> Result<Self, Failure> {
        let jars = ensure(places)?;
        let folder = tempfile::tempdir().map_err(Failure::file("make", "a temporary folder"))?;
        let mut ports = Ports::free()?;
        ports.clients = port.unwrap_or(ports.clients);
        let settings = folder.path().join("server.properties");
        let data = folder.path().join("data");
        write(&settings, properties(&ports, certificates, &data))?;
        let scram = format!("SCRAM-SHA-256=[name={USER},password={PASSWORD}]");
        java(&jars, folder.path())
            .args(["kafka.tools.StorageTool", "format", "--cluster-id"])
            .arg("dGlkZWdhdGUtdGVzdHMtMQ")
            .args(["--add-scram", &scram, "--config"])
            .arg(&settings)
            .quiet()?;
        let log = folder.path().join("log.txt");
        let output = File::create(&log).map_err(Failure::file("make", &log))?;
        let errors = output.try_clone().map_err(Failure::file("make", &log))?;
        let process = Command::new("java")
            .args(options(&jars))
            .arg("kafka.Kafka")
            .arg(&settings)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(Failure::file("start", "java"))?;
        let mut broker = Self {
            address: format!("127.0.0.1:{}", ports.clients),
            guarded: format!("127.0.0.1:{}", ports.guarded),
            sealed: format!("127.0.0.1:{}", ports.sealed),
            certified: format!("127.0.0.1:{}", ports.certified),
            process,
            _folder: folder,
        };
        broker.wait(&log)?;
        Ok(broker)
    }

    /// Waits until the broker takes clients.
    fn wait(&mut self, log: &Path) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let said = read_text(log)?;
            if said.contains("Kafka Server started") && TcpStream::connect(&self.address).is_ok() {
                return Ok(());
            }
            let ended = self.process.try_wait();
            let ended = ended.map_err(Failure::file("wait for", "the broker"))?;
            if ended.is_some() || begun.elapsed() > START {
                let lines: Vec<&str> = said.lines().collect();
                let last = lines[lines.len().saturating_sub(20)..].join("\n");
                return Err(Failure::form(
                    "the broker of Kafka",
                    format!("it did not start:\n{last}"),
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It holds nothing that anybody needs again.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Certificates that vouch for themselves: one for servers of this machine, and one for a client. They go with this value.
#[derive(Debug)]
pub struct Certificates {
    /// What servers show, as a PEM file: who trusts it trusts them.
    pub authority: PathBuf,
    /// What the client shows, with its key (PKCS#12).
    pub client: PathBuf,
    /// What it shows, without the key: no authority of servers.
    pub other: PathBuf,
    server: PathBuf,
    /// The client's, as servers take it.
    trusted: PathBuf,
    _folder: tempfile::TempDir,
}

/// The password of all stores of certificates; nobody but this machine sees them.
pub const STORE_PASSWORD: &str = "let me in, too";

impl Certificates {
    /// Makes them, with Java's own tool.
    pub fn make() -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::file("make", "a temporary folder"))?;
        let path = |name: &str| folder.path().join(name);
        let (server, client) = (path("server.p12"), path("client.p12"));
        let (authority, shown, trusted) = (path("ca.pem"), path("client.pem"), path("trust.p12"));
        let keytool = |words: &[&str], store: &Path| {
            Call::new("keytool")
                .or_say("install Java 17")
                .args(words)
                .args(["-alias", "own", "-storetype", "PKCS12"])
                .args(["-storepass", STORE_PASSWORD, "-keystore"])
                .arg(store)
        };
        for (store, shown) in [(&server, &authority), (&client, &shown)] {
            let pair = ["-genkeypair", "-keyalg", "RSA", "-keysize", "2048"];
            keytool(&pair, store)
                .args(["-validity", "30", "-dname", "CN=127.0.0.1"])
                .args(["-ext", "san=ip:127.0.0.1"])
                .quiet()?;
            keytool(&["-exportcert", "-rfc"], store)
                .arg("-file")
                .arg(shown)
                .quiet()?;
        }
        keytool(&["-importcert", "-noprompt"], &trusted)
            .arg("-file")
            .arg(&shown)
            .quiet()?;
        Ok(Self {
            authority,
            client,
            other: shown,
            server,
            trusted,
            _folder: folder,
        })
    }
}

/// A running Schema Registry (Apicurio's, which speaks Confluent's language); it ends with this value.
#[derive(Debug)]
pub struct Registry {
    /// Its address, as the option `schemaRegistry` takes it.
    pub address: String,
    /// The same with TLS.
    pub sealed: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one that keeps its schemas in memory.
    pub fn start(certificates: &Certificates, places: &Places) -> Result<Self, Failure> {
        let home = ensure_registry(places)?;
        let folder = tempfile::tempdir().map_err(Failure::file("make", "a temporary folder"))?;
        let [port, sealed] = free_ports()?;
        let mut store = std::ffi::OsString::from("-Dquarkus.http.ssl.certificate.key-store-file=");
        store.push(&certificates.server);
        let log = folder.path().join("log.txt");
        let output = File::create(&log).map_err(Failure::file("make", &log))?;
        let errors = output.try_clone().map_err(Failure::file("make", &log))?;
        let process = Command::new("java")
            .args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dquarkus.http.port={port}"))
            .arg(format!("-Dquarkus.http.ssl-port={sealed}"))
            .arg(store)
            .arg(format!(
                "-Dquarkus.http.ssl.certificate.key-store-password={STORE_PASSWORD}"
            ))
            .args(["-Dquarkus.http.host=127.0.0.1", "-jar"])
            .arg(home.join(format!("apicurio-registry-app-{REGISTRY}-runner.jar")))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(Failure::file("start", "java"))?;
        let mut registry = Self {
            address: format!("http://127.0.0.1:{port}/apis/ccompat/v7"),
            sealed: format!("https://127.0.0.1:{sealed}/apis/ccompat/v7"),
            process,
            _folder: folder,
        };
        let begun = Instant::now();
        while !read_text(&log)?.contains("Listening on") {
            let ended = registry.process.try_wait();
            let ended = ended.map_err(Failure::file("wait for", "the registry"))?;
            if ended.is_some() || begun.elapsed() > START {
                return Err(Failure::form("the Schema Registry", read_text(&log)?));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The registry's version: the newest that runs on Java 17 and is in Maven Central.
const REGISTRY: &str = "2.6.13.Final";

/// The registry: from the cache folder, where Maven puts it when it is missing.
fn ensure_registry(places: &Places) -> Result<PathBuf, Failure> {
    let folder = places
        .cache
        .join("tools")
        .join(format!("apicurio-{REGISTRY}"));
    make_folder(&folder)?;
    let _lock = lock(&folder.join("lock"))?;
    let (home, stamp) = (folder.join("home"), folder.join("complete"));
    if stamp.is_file() {
        return Ok(home);
    }
    eprintln!("fetching a Schema Registry");
    let mut output = std::ffi::OsString::from("-DoutputDirectory=");
    output.push(&home);
    Call::new("mvn")
        .args(["-q", "-B"])
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack")
        .arg(format!(
            "-Dartifact=io.apicurio:apicurio-registry-app:{REGISTRY}:tar.gz:all"
        ))
        .arg(output)
        .or_say("install Maven and Java 17")
        .in_folder(&folder)
        .quiet()?;
    write(&stamp, REGISTRY)?;
    Ok(home)
}

/// The jars: from the cache folder, where Maven puts them when they are missing.
fn ensure(places: &Places) -> Result<PathBuf, Failure> {
    let pom = places.root.join("xtask/kafka/pom.xml");
    let wanted = read_text(&pom)?;
    let folder = places.cache.join("tools").join("kafka");
    make_folder(&folder)?;
    let _lock = lock(&folder.join("lock"))?;
    let (jars, stamp) = (folder.join("jars"), folder.join("pom.xml"));
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(jars);
    }
    eprintln!("fetching Kafka's jars");
    if jars.exists() {
        std::fs::remove_dir_all(&jars).map_err(Failure::file("remove", &jars))?;
    }
    let mut output = std::ffi::OsString::from("-DoutputDirectory=");
    output.push(&jars);
    Call::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies")
        .arg("-DincludeScope=runtime")
        .arg(output)
        .or_say("install Maven and Java 17")
        .quiet()?;
    write(&stamp, &wanted)?;
    Ok(jars)
}

/// The options of Java.
fn options(jars: &Path) -> Vec<std::ffi::OsString> {
    let fixed = [
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
        "-cp",
    ];
    let fixed = fixed.into_iter().map(std::ffi::OsString::from);
    fixed.chain([jars.join("*").into_os_string()]).collect()
}

fn java(jars: &Path, folder: &Path) -> Call {
    Call::new("java")
        .or_say("install Java 17")
        .args(options(jars))
        .in_folder(folder)
}

/// Ports that nobody listens on.
fn free_ports<const N: usize>() -> Result<[u16; N], Failure> {
    let mut ports = [0; N];
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let fail = || Failure::file("listen on", "a free port");
        let listener = TcpListener::bind("127.0.0.1:0").map_err(fail())?;
        *port = listener.local_addr().map_err(fail())?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Where a broker listens.
struct Ports {
    clients: u16,
    guarded: u16,
    sealed: u16,
    certified: u16,
    controller: u16,
}

impl Ports {
    fn free() -> Result<Self, Failure> {
        let [clients, guarded, sealed, certified, controller] = free_ports()?;
        Ok(Self {
            clients,
            guarded,
            sealed,
            certified,
            controller,
        })
    }
}

/// The settings of a node that is broker and controller in one.
fn properties(ports: &Ports, certificates: &Certificates, data: &Path) -> String {
    let login = |module: &str| format!("org.apache.kafka.common.security.{module} required");
    let plain = format!(
        "{} username=\"{USER}\" password=\"{PASSWORD}\" user_{USER}=\"{PASSWORD}\";",
        login("plain.PlainLoginModule")
    );
    let scram = format!("{};", login("scram.ScramLoginModule"));
    let protocols = "CLIENTS:PLAINTEXT,GUARDED:SASL_PLAINTEXT,SEALED:SASL_SSL,CERTIFIED:SSL,CONTROLLER:PLAINTEXT";
    let advertised = [
        ("CLIENTS", ports.clients),
        ("GUARDED", ports.guarded),
        ("SEALED", ports.sealed),
        ("CERTIFIED", ports.certified),
    ];
    let advertised = advertised.map(|(name, port)| format!("{name}://127.0.0.1:{port}"));
    let advertised = advertised.join(",");
    let listeners = format!("{advertised},CONTROLLER://127.0.0.1:{}", ports.controller);
    let voter = format!("1@127.0.0.1:{}", ports.controller);
    let shown = |path: &Path| path.display().to_string();
    let (data, server, trusted) = (
        shown(data),
        shown(&certificates.server),
        shown(&certificates.trusted),
    );
    [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.voters", &voter),
        ("controller.listener.names", "CONTROLLER"),
        ("listeners", &listeners),
        ("advertised.listeners", &advertised),
        ("listener.security.protocol.map", protocols),
        ("inter.broker.listener.name", "CLIENTS"),
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256"),
        ("listener.name.guarded.plain.sasl.jaas.config", &plain),
        (
            "listener.name.guarded.scram-sha-256.sasl.jaas.config",
            &scram,
        ),
        ("listener.name.sealed.plain.sasl.jaas.config", &plain),
        (
            "listener.name.sealed.scram-sha-256.sasl.jaas.config",
            &scram,
        ),
        ("listener.name.certified.ssl.client.auth", "required"),
        ("ssl.keystore.type", "PKCS12"),
        ("ssl.keystore.location", &server),
        ("ssl.keystore.password", STORE_PASSWORD),
        ("ssl.key.password", STORE_PASSWORD),
        ("ssl.truststore.type", "PKCS12"),
        ("ssl.truststore.location", &trusted),
        ("ssl.truststore.password", STORE_PASSWORD),
        ("log.dirs", &data),
        ("auto.create.topics.enable", "false"),
        ("delete.topic.enable", "true"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("log.retention.check.interval.ms", "500"),
        ("message.max.bytes", "150000000"),
        ("replica.fetch.max.bytes", "150000000"),
        ("socket.request.max.bytes", "200000000"),
        ("num.partitions", "1"),
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.num.partitions", "1"),
        ("transaction.state.log.min.isr", "1"),
        (
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            "1000",
        ),
        ("transaction.state.log.replication.factor", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
    ]
    .into_iter()
    .map(|(name, value)| format!("{name}={value}\n"))
    .collect()
}
