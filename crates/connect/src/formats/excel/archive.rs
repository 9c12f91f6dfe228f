//! The zip archive that .xlsx, .xlsb and .ods are: what its parts say of their size is checked before
//! anybody makes room for them. The archive's reader gives no more than a part says it holds.

use std::io::{BufRead, BufReader, Cursor};

use bytes::Bytes;
use quick_xml::events::Event;
use zip::ZipArchive;
use zip::read::ZipFile;

/// Most bytes of a part that is held in memory as a whole: the texts of all cells.
const TEXTS_MAX: u64 = 1 << 30;
/// Most bytes of any other part that is read before the cells are: styles, names, relations.
const PARTS_MAX: u64 = 32 << 20;
/// Fewest bytes that a text takes among the shared ones: `<si/>`.
const TEXT_MIN: u64 = 5;

/// Says what is wrong with the parts of an archive, if anything is.
pub(super) fn check(bytes: &Bytes) -> Result<(), String> {
    let mut archive = open(bytes)?;
    for at in 0..archive.len() {
        let part = archive
            .by_index_raw(at)
            .map_err(|error| error.to_string())?;
        let name = lower(&part.name().map_err(|error| error.to_string())?);
        let size = part.size();
        drop(part);
        let file = name.rsplit('/').next().unwrap_or_default();
        let texts = file.starts_with("sharedstrings.");
        let read_first = name.ends_with(".rels")
            || ["styles.", "workbook.", "theme"]
                .iter()
                .any(|start| file.starts_with(start));
        let most = match (texts, read_first) {
            (true, _) => TEXTS_MAX,
            (_, true) => PARTS_MAX,
            _ => continue,
        };
        if size > most {
            return Err(format!(
                "its part {name} holds {size} bytes, more than the {most} that are read; save the sheet as CSV"
            ));
        }
        if file == "sharedstrings.xml" {
            check_texts(&mut archive, at, size)?;
        }
    }
    Ok(())
}

/// Room is made for as many texts as are promised: they must fit into the part.
fn check_texts(archive: &mut Archive, at: usize, size: u64) -> Result<(), String> {
    let part = archive.by_index(at).map_err(|error| error.to_string())?;
    let mut xml = xml(BufReader::new(part));
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer) {
            Ok(Event::Start(start)) if start.local_name().as_ref() == "sst" => {
                let promised = start.try_get_attribute("uniqueCount").ok().flatten();
                let promised = promised.and_then(|count| count.value.trim().parse::<u64>().ok());
                return match promised.filter(|count| *count > size / TEXT_MIN) {
                    Some(count) => Err(format!(
                        "its shared texts are said to be {count}, in a part of {size} bytes"
                    )),
                    None => Ok(()),
                };
            }
            Ok(Event::Eof) => return Ok(()),
            Err(error) => return Err(error.to_string()),
            Ok(_) => {}
        }
    }
}

/// An archive in memory.
pub(super) type Archive = ZipArchive<Cursor<Bytes>>;

/// Opens an archive.
pub(super) fn open(bytes: &Bytes) -> Result<Archive, String> {
    ZipArchive::new(Cursor::new(bytes.clone())).map_err(|error| error.to_string())
}

/// A part of an archive, to be read; `None` if there is none of this name.
pub(super) fn part<'a>(
    archive: &'a mut Archive,
    name: &str,
) -> Result<Option<BufReader<ZipFile<'a, Cursor<Bytes>>>>, String> {
    let Some(at) = archive.index_for_name(name) else {
        return Ok(None);
    };
    let part = archive.by_index(at).map_err(|error| error.to_string())?;
    Ok(Some(BufReader::new(part)))
}

/// A reader of XML as programs write it.
pub(super) fn xml<R: BufRead>(bytes: R) -> quick_xml::Reader<R> {
    let mut xml = quick_xml::Reader::from_reader(bytes);
    let config = xml.config_mut();
    config.expand_empty_elements = true;
    config.check_end_names = true;
    xml
}

fn lower(name: &str) -> String {
    name.replace('\\', "/").to_ascii_lowercase()
}
