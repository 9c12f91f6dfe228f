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
    let mut broker = Broker::start(arguments.port, places)?;
    println!("Kafka at {} (end it with Ctrl-C)", broker.address);
    println!(
        "with a password ({USER}, {PASSWORD:?}) at {}",
        broker.guarded
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
    process: Child,
    _folder: tempfile::TempDir,
}

impl Broker {
    /// Formats a node and starts it.
    pub fn start(port: Option<u16>, places: &Places) -> Result<Self, Failure> {
        let jars = ensure(places)?;
        let folder = tempfile::tempdir().map_err(Failure::file("make", "a temporary folder"))?;
        let [clients, guarded, controller] = free_ports()?;
        let clients = port.unwrap_or(clients);
        let settings = folder.path().join("server.properties");
        let data = folder.path().join("data");
        write(&settings, properties(clients, guarded, controller, &data))?;
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
            address: format!("127.0.0.1:{clients}"),
            guarded: format!("127.0.0.1:{guarded}"),
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

/// A running Schema Registry (Apicurio's, which speaks Confluent's language); it ends with this value.
#[derive(Debug)]
pub struct Registry {
    /// Its address, as the option `schemaRegistry` takes it.
    pub address: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one that keeps its schemas in memory.
    pub fn start(places: &Places) -> Result<Self, Failure> {
        let home = ensure_registry(places)?;
        let folder = tempfile::tempdir().map_err(Failure::file("make", "a temporary folder"))?;
        let [port] = free_ports()?;
        let log = folder.path().join("log.txt");
        let output = File::create(&log).map_err(Failure::file("make", &log))?;
        let errors = output.try_clone().map_err(Failure::file("make", &log))?;
        let process = Command::new("java")
            .args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dquarkus.http.port={port}"))
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

/// The settings of a node that is broker and controller in one.
fn properties(clients: u16, guarded: u16, controller: u16, data: &Path) -> String {
    let login = |module: &str| format!("org.apache.kafka.common.security.{module} required");
    let plain = format!(
        "{} username=\"{USER}\" password=\"{PASSWORD}\" user_{USER}=\"{PASSWORD}\";",
        login("plain.PlainLoginModule")
    );
    let scram = format!("{};", login("scram.ScramLoginModule"));
    let protocols = "CLIENTS:PLAINTEXT,GUARDED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT";
    let advertised = format!("CLIENTS://127.0.0.1:{clients},GUARDED://127.0.0.1:{guarded}");
    let listeners = format!("{advertised},CONTROLLER://127.0.0.1:{controller}");
    let voter = format!("1@127.0.0.1:{controller}");
    let data = data.display().to_string();
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
