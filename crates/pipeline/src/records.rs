//! Records of live sources as a relation: opened at the positions that count, understood, and read until they end for
//! this epoch.
//!
//! A bounded run takes what is there when it begins; a run that follows its sources reads until its epoch's deadline.
//! Everything behind that (decoding, the gate, quarantine) is the way of files.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidegate_connect::live::kafka::KafkaSource;
use tidegate_connect::live::topic::{Topic, TopicOptions, TopicReadOptions};
use tidegate_connect::live::{
    AvroCodec, Codec, Fetched, LiveFormat, LiveNote, LiveOptions, LiveReading, LiveSource,
    PartitionState, Positions, ProtobufCodec, partition_name,
};
use tidegate_connect::{Discovered, Piece};
use tidegate_project::{
    Diagnostic, Place, RecordSource, Relation, RelationTarget, Table, TableKind, TableName,
    parse_length,
};

use crate::codes;
use crate::discovery::FileOptions;
use crate::error::{PipelineError, Result};
use crate::events::Meter;
use crate::rows::{CancelToken, Load, Shape};
use crate::workspace::{Workspace, nearest};

/// How much is asked of a source at once.
const FETCH_BYTES: usize = 4 << 20;
/// How long a source is waited for before the clock is looked at.
const WAIT: Duration = Duration::from_millis(10);
/// How much of a source tells its columns.
const SAMPLE_BYTES: usize = 1 << 20;
/// How long records are waited for that a bounded run knows to be there.
const STALLED: Duration = Duration::from_secs(60);

/// When reading ends.
#[derive(Debug, Clone)]
pub(crate) enum Until {
    /// At the ends that the partitions had when reading began.
    Ends(Vec<PartitionState>),
    /// At this moment; sooner if the run is stopped.
    Moment(Instant),
    /// Exactly at these offsets, and nothing of other partitions: an epoch is read again.
    Exactly(Positions),
}

/// A source that is open, and how far it was read.
pub(crate) struct OpenSource {
    pub(crate) source: Box<dyn LiveSource>,
    /// The next offset of each partition that was read, or is known from before.
    pub(crate) reached: Positions,
    /// Where reading began in partitions that were not known.
    pub(crate) began: Positions,
    /// What decodes its values, if they need a schema.
    pub(crate) codec: Option<Arc<dyn Codec>>,
}

impl OpenSource {
    /// How many records are there that were not read, by `topic/partition`; nothing if the source does not say.
    pub(crate) fn lag(&mut self) -> BTreeMap<String, i64> {
        let states = self.source.partitions().unwrap_or_default();
        let lag = states.iter().map(|state| {
            let next = self.reached.get(&state.topic, state.partition);
            let left = state.end - next.unwrap_or(state.earliest);
            (format!("{}/{}", state.topic, state.partition), left.max(0))
        });
        lag.collect()
    }
}

/// Records of a relation, to be read in one epoch.
#[derive(Clone)]
pub(crate) struct RecordsOrigin {
    pub(crate) kind: &'static str,
    pub(crate) format: LiveFormat,
    pub(crate) codec: Option<Arc<dyn Codec>>,
    pub(crate) open: Arc<Mutex<OpenSource>>,
    pub(crate) until: Until,
    pub(crate) cancel: CancelToken,
}

impl fmt::Debug for RecordsOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecordsOrigin")
            .field("kind", &self.kind)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl RecordsOrigin {
    /// Whether nothing is there that was not read.
    pub(crate) fn is_drained(&self) -> bool {
        match &self.until {
            Until::Ends(ends) => drained(&self.open.lock().reached, ends),
            Until::Moment(_) => false,
            Until::Exactly(ends) => {
                let open = self.open.lock();
                ends.iter().all(|(topic, partition, end)| {
                    let next = open.reached.get(topic, partition);
                    next.is_some_and(|next| next >= end)
                })
            }
        }
    }

    /// How far was read, by `topic/partition`.
    pub(crate) fn offsets(&self) -> BTreeMap<String, i64> {
        named(&self.open.lock().reached)
    }

    /// The names of the partitions that are read now. Before anything is fetched: it waits for who is fetching.
    pub(crate) fn assigned(&self) -> Vec<String> {
        let assigned = self.open.lock().source.assigned();
        let names = assigned.iter();
        names
            .map(|(topic, partition)| partition_name(self.kind, topic, *partition))
            .collect()
    }

    /// Where reading began in partitions that were not known, by `topic/partition`.
    pub(crate) fn began(&self) -> BTreeMap<String, i64> {
        named(&self.open.lock().began)
    }

    /// What is worth telling since the last look.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.open.lock().source.notes().iter().map(told).collect()
    }

    /// The records as loads; blocks where they are pulled.
    pub(crate) fn loads(
        self,
        reading: LiveReading,
        shape: Arc<Shape>,
        meter: Arc<Meter>,
    ) -> impl Iterator<Item = Result<Load>> + Send {
        let mut ready: VecDeque<Load> = VecDeque::new();
        let mut ended = false;
        let mut last_came = Instant::now();
        std::iter::from_fn(move || {
            loop {
                if let Some(load) = ready.pop_front() {
                    return Some(Ok(load));
                }
                if ended || self.is_over() {
                    return None;
                }
                let fetched = match self.fetch() {
                    Ok(fetched) => fetched,
                    Err(error) => {
                        ended = true;
                        return Some(Err(error));
                    }
                };
                if !fetched.is_empty() {
                    last_came = Instant::now();
                } else if !matches!(self.until, Until::Moment(_)) && last_came.elapsed() > STALLED {
                    ended = true;
                    return Some(Err(self.stalled()));
                }
                for piece in fetched.into_iter().flat_map(|some| reading.pieces(some)) {
                    meter.add(0, piece.bytes());
                    let source: Arc<str> = piece.source().into();
                    let first_line = u64::try_from(piece.first_offset()).ok();
                    ready.push_back(Load::Piece {
                        piece: Box::new(piece),
                        source,
                        first_line,
                        shape: Arc::clone(&shape),
                    });
                }
            }
        })
    }

    fn is_over(&self) -> bool {
        match &self.until {
            Until::Ends(_) => self.cancel.is_cancelled() || self.is_drained(),
            Until::Exactly(_) => self.is_drained(),
            Until::Moment(moment) => self.cancel.is_cancelled() || Instant::now() >= *moment,
        }
    }

    fn fetch(&self) -> Result<Vec<Fetched>> {
        let wait = match &self.until {
            Until::Ends(_) | Until::Exactly(_) => WAIT,
            Until::Moment(moment) => WAIT.min(moment.saturating_duration_since(Instant::now())),
        };
        let open = &mut *self.open.lock();
        let mut fetched = open.source.poll(wait, FETCH_BYTES)?;
        if let Until::Exactly(ends) = &self.until {
            fetched = fetched
                .iter()
                .filter_map(|some| until(some, ends))
                .collect();
        }
        for some in &fetched {
            if open.reached.get(&some.topic, some.partition).is_none() {
                let first = some.offsets.first().unwrap_or(&some.next);
                open.began.set(&some.topic, some.partition, *first);
            }
            some.advance(&mut open.reached);
        }
        Ok(fetched)
    }

    fn stalled(&self) -> PipelineError {
        PipelineError::Request(format!(
            "{}: records that should be there did not come for {} seconds; nothing of this epoch was committed. Look whether the brokers are well, and run again",
            self.open.lock().source.name(),
            STALLED.as_secs()
        ))
    }
}

/// The records before the end of their partition; none if it is not to be read.
fn until(fetched: &Fetched, ends: &Positions) -> Option<Fetched> {
    let end = ends.get(&fetched.topic, fetched.partition)?;
    let count = fetched.offsets.partition_point(|offset| *offset < end);
    Some(fetched.slice(0, count))
}

/// Positions by `topic/partition`.
fn named(positions: &Positions) -> BTreeMap<String, i64> {
    positions
        .iter()
        .map(|(topic, partition, next)| (format!("{topic}/{partition}"), next))
        .collect()
}

fn drained(reached: &Positions, ends: &[PartitionState]) -> bool {
    ends.iter().all(|state| {
        let next = reached.get(&state.topic, state.partition);
        next.unwrap_or(state.earliest) >= state.end
    })
}

fn told(note: &LiveNote) -> String {
    match note {
        LiveNote::Lost {
            topic,
            partition,
            from,
            to,
        } => format!(
            "{} records of {topic}/{partition} were removed before they were read: offsets {from} to {}",
            to - from,
            to - 1
        ),
        LiveNote::NewPartition { topic, partition } => {
            format!("{topic}/{partition} is new, and is read from its beginning")
        }
        LiveNote::Connection { message } => message.clone(),
    }
}

/// The positions of a flow log as those of a source.
pub(crate) fn positions_of(offsets: &BTreeMap<String, i64>) -> Positions {
    let mut positions = Positions::new();
    for (name, next) in offsets {
        if let Some((topic, partition)) = name.rsplit_once('/')
            && let Ok(partition) = partition.parse()
        {
            positions.set(&topic.into(), partition, *next);
        }
    }
    positions
}

/// What decodes values that need a schema; none for formats that need none. Blocks where a registry is asked.
///
/// # Errors
/// When no schema is given, or it cannot be had.
pub(crate) fn codec_of(live: &LiveOptions) -> Result<Option<Arc<dyn Codec>>> {
    Ok(match live.format {
        LiveFormat::Avro => Some(Arc::new(AvroCodec::new(live)?)),
        LiveFormat::Protobuf => Some(Arc::new(ProtobufCodec::new(live)?)),
        LiveFormat::Raw | LiveFormat::Json | LiveFormat::Csv => None,
    })
}

/// What a live relation is called in messages: "topic", or "Kafka topic".
pub(crate) fn kind_of(source: &RecordSource) -> &'static str {
    match source {
        RecordSource::Kafka => "Kafka topic",
        RecordSource::Topic(_) => "topic",
    }
}

/// What opens live sources: of the project, only what is needed for that, so that any thread can have it.
#[derive(Clone)]
pub(crate) struct Opener {
    topics_folder: PathBuf,
    topics: Arc<BTreeMap<TableName, Table>>,
    #[cfg(test)]
    around: Option<Around>,
}

/// Puts something around a live source.
#[cfg(test)]
pub(crate) type Around = Arc<dyn Fn(Box<dyn LiveSource>) -> Box<dyn LiveSource> + Send + Sync>;

impl Workspace {
    /// What opens the live sources of the project.
    pub(crate) fn opener(&self) -> Opener {
        let tables = self.project.tables.iter();
        let topics = tables.filter(|table| table.kind == TableKind::Topic);
        let topics = topics.map(|table| (table.name.clone(), table.clone()));
        Opener {
            topics_folder: self.state_folder().join("topics"),
            topics: Arc::new(topics.collect()),
            #[cfg(test)]
            around: self.around.clone(),
        }
    }

    /// The live source that a relation names, with its options; none for anything else.
    ///
    /// # Errors
    /// A diagnostic for an option that cannot be.
    pub(crate) fn live(&self, relation: &Relation) -> Result<Option<(RecordSource, FileOptions)>> {
        let none = BTreeMap::new();
        let (source, format, options) = match &relation.target {
            RelationTarget::Records {
                source,
                format,
                options,
            } => (source.clone(), format.as_deref(), options),
            RelationTarget::Table { name, .. } => (RecordSource::Topic(name.clone()), None, &none),
            RelationTarget::Files { .. } => return Ok(None),
        };
        let mut parsed = match &source {
            RecordSource::Kafka => FileOptions::parse_live(&source, format, options)?,
            RecordSource::Topic(name) => {
                let topic = self.project.table(name);
                let Some(topic) = topic.filter(|table| table.kind == TableKind::Topic) else {
                    return Ok(None);
                };
                let mut parsed = FileOptions::parse_live(&source, format, options)?;
                if parsed.read.schema.is_none() && !topic.columns.is_empty() {
                    let columns = topic.columns.iter();
                    let columns = columns
                        .map(|column| (column.name.clone(), column.data_type.clone()))
                        .collect();
                    Arc::make_mut(&mut parsed.read).schema = Some(columns);
                }
                parsed
            }
        };
        parsed.repair = false;
        Ok(Some((source, parsed)))
    }
}

impl Opener {
    /// A topic of the project, made if it is not there yet.
    ///
    /// # Errors
    /// When it is not declared, its properties cannot be, or its folder cannot be written.
    pub(crate) fn topic(&self, name: &TableName) -> Result<Topic> {
        let Some(table) = self.topics.get(name) else {
            let names = self.topics.keys().map(ToString::to_string).collect();
            return Err(PipelineError::UnknownTable {
                name: name.to_string(),
                nearest: nearest(&name.to_string(), names),
            });
        };
        let folder = self.topics_folder.join(name.key());
        let options = topic_options(table)?;
        std::fs::create_dir_all(&folder)
            .map_err(|source| PipelineError::file("making the folder", &folder, source))?;
        Ok(Topic::create(&folder, &options)?)
    }

    /// Opens a live source at positions. Blocks.
    ///
    /// # Errors
    /// When it cannot be reached, or is not what it was.
    pub(crate) fn open_records(
        &self,
        source: &RecordSource,
        options: &FileOptions,
        known: Positions,
    ) -> Result<OpenSource> {
        let live = options.live.clone().unwrap_or_default();
        let codec = codec_of(&live)?;
        let mut source: Box<dyn LiveSource> = match source {
            RecordSource::Kafka => Box::new(KafkaSource::new(live)?),
            RecordSource::Topic(name) => {
                let read = TopicReadOptions {
                    start: live.start,
                    fail_on_data_loss: !live.accept_data_loss,
                };
                Box::new(self.topic(name)?.source(read)?)
            }
        };
        #[cfg(test)]
        if let Some(around) = &self.around {
            source = around(source);
        }
        source.seek(&known)?;
        Ok(OpenSource {
            source,
            reached: known,
            began: Positions::new(),
            codec,
        })
    }

    /// What the records of a source look like. Blocks.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub(crate) fn discover_records(
        &self,
        source: &RecordSource,
        options: &FileOptions,
    ) -> Result<Arc<Discovered>> {
        let live = options.live.clone().unwrap_or_default();
        let mut sample = Vec::new();
        let declared = options.read.schema.is_some();
        if !declared && live.format != LiveFormat::Raw {
            let mut earliest = options.clone();
            if let Some(live) = &mut earliest.live {
                live.start = tidegate_connect::live::Start::Earliest;
                live.accept_data_loss = true;
            }
            let mut open = self.open_records(source, &earliest, Positions::new())?;
            let some = open.source.partitions()?;
            if some.iter().any(|state| state.end > state.earliest) {
                sample = open.source.poll(Duration::from_secs(5), SAMPLE_BYTES)?;
            }
        }
        Ok(Arc::new(LiveReading::discover(
            live.format,
            &options.read,
            codec_of(&live)?.as_deref(),
            &sample,
        )?))
    }
}

/// How a topic is kept, by its properties.
fn topic_options(table: &Table) -> Result<TopicOptions> {
    let mut options = TopicOptions::default();
    for (key, value) in &table.properties {
        let expected = match key.to_ascii_lowercase().as_str() {
            "partitions" => match value.parse() {
                Ok(partitions) if (1..=4096).contains(&partitions) => {
                    options.partitions = partitions;
                    continue;
                }
                _ => "a number from 1 to 4096",
            },
            "retention" => match parse_length(value) {
                Some(length) => {
                    options.retention_ms = u64::try_from(length.as_millis()).ok();
                    continue;
                }
                None => "a length of time such as '7 days'",
            },
            "retention.bytes" | "segment.bytes" => match value.parse::<u64>() {
                Ok(bytes) if key.eq_ignore_ascii_case("retention.bytes") => {
                    options.retention_bytes = Some(bytes);
                    continue;
                }
                Ok(bytes) => {
                    options.segment_bytes = bytes;
                    continue;
                }
                Err(_) => "a number of bytes",
            },
            "compression" => {
                let quoted = serde_json::Value::String(value.to_ascii_lowercase());
                match serde_json::from_value(quoted) {
                    Ok(compression) => {
                        options.compression = compression;
                        continue;
                    }
                    Err(_) => "'none', 'lz4' or 'zstd'",
                }
            }
            "key" => continue,
            _ => "one of partitions, retention, retention.bytes, segment.bytes, compression, key",
        };
        return Err(wrong_property(table.place, key, value, expected));
    }
    Ok(options)
}

fn wrong_property(place: Place, key: &str, value: &str, expected: &str) -> PipelineError {
    let message = format!("the property '{key}' = '{value}' of this topic cannot be");
    let diagnostic = Diagnostic::error(codes::OPTION, message)
        .at(place, "this topic")
        .help(format!("expected {expected}"));
    PipelineError::Diagnostics(vec![diagnostic])
}
