//! Makes dirty payments: the data of `examples/payments`, of `tidegate demo` and of the gate benchmark.
//!
//! The same seed gives the same bytes. A share of the rows is bad in one of eight ways ([`Badness`]); a truth file says
//! which, so that a run can be scored. One merchant in ten has a comma in its name and is therefore properly quoted,
//! and times are in order but for a few late rows, as a feed from many tills would be.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use serde::Serialize;

/// The ways in which a row can be bad. The names are those that the truth file uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Badness {
    /// A delimiter or a field too few or too many.
    FieldCount,
    /// An amount that is not a number.
    AmountNan,
    /// An amount below zero.
    AmountNeg,
    /// No id.
    IdMissing,
    /// The id of an earlier good row.
    IdDup,
    /// A time that does not exist or is not one.
    TsBad,
    /// A currency nobody knows.
    CurrencyUnknown,
    /// A quote that is never closed, or text behind a closing quote.
    BrokenQuote,
}

impl Badness {
    const ALL: [Badness; 8] = [
        Badness::FieldCount,
        Badness::AmountNan,
        Badness::AmountNeg,
        Badness::IdMissing,
        Badness::IdDup,
        Badness::TsBad,
        Badness::CurrencyUnknown,
        Badness::BrokenQuote,
    ];

    /// The name in the truth file.
    pub fn name(self) -> &'static str {
        match self {
            Badness::FieldCount => "field_count",
            Badness::AmountNan => "amount_nan",
            Badness::AmountNeg => "amount_neg",
            Badness::IdMissing => "id_missing",
            Badness::IdDup => "id_dup",
            Badness::TsBad => "ts_bad",
            Badness::CurrencyUnknown => "currency_unknown",
            Badness::BrokenQuote => "broken_quote",
        }
    }
}

/// What to make.
#[derive(Debug, Clone)]
pub struct Order {
    /// Data rows in all.
    pub rows: u64,
    /// Same seed, same bytes.
    pub seed: u64,
    /// Share of bad rows, 0 to 1.
    pub bad: f64,
    /// Number of files the rows are spread over, at least 1.
    pub files: u64,
    /// JSON lines instead of CSV.
    pub jsonl: bool,
}

/// What was made.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    /// Data rows written.
    pub rows: u64,
    /// Bad rows among them.
    pub bad: u64,
    /// Bytes of data written.
    pub bytes: u64,
    /// The data files.
    pub files: Vec<PathBuf>,
    /// The truth: `row,kind,id,card_id`, one line a bad row.
    pub truth: PathBuf,
}

const COUNTRIES: [&str; 40] = [
    "DE", "FR", "IT", "ES", "NL", "BE", "AT", "CH", "GB", "IE", "SE", "NO", "DK", "FI", "PL", "CZ",
    "SK", "HU", "RO", "BG", "GR", "PT", "US", "CA", "MX", "BR", "AR", "JP", "KR", "IN", "AU", "NZ",
    "ZA", "NG", "EG", "TR", "IL", "AE", "SG", "HK",
];
const CURRENCIES: [&str; 8] = ["EUR", "USD", "GBP", "CHF", "JPY", "SEK", "PLN", "CZK"];
const BAD_AMOUNTS: [&str; 8] = [
    "abc", "N/A", "12.3.4", "1O0.50", "--", "twelve", "12 EUR", "NULL?",
];
const BAD_TIMES: [&str; 6] = [
    "2026-13-45T10:00:00Z",
    "yesterday",
    "2026-02-30T12:00:00Z",
    "not-a-date",
    "2026-10-01T25:61:00Z",
    "0000",
];
const BAD_CURRENCIES: [&str; 4] = ["ZZZ", "QQQ", "EURO", "XX"];
const MERCHANTS: usize = 2_000;
const SPAN_MS: u64 = 7 * 86_400_000;
/// 2026-10-05T00:00:00Z in milliseconds since 1970.
const START_MS: u64 = 1_791_158_400_000;

/// One payment as text, before it is spoiled or written.
struct Payment {
    id: String,
    card: u32,
    merchant: usize,
    country: &'static str,
    amount: String,
    currency: &'static str,
    ts: String,
    ip: [u8; 4],
}

/// Writes `folder/payments-NNN.csv` (or `.jsonl`) and `truth`.
///
/// # Errors
/// What the file system says.
pub fn make(order: &Order, folder: &Path, truth: &Path) -> Result<Made, std::io::Error> {
    let extension = if order.jsonl { "jsonl" } else { "csv" };
    let files =
        (1..=order.files.max(1)).map(|file| folder.join(format!("payments-{file:03}.{extension}")));
    write(order, files.collect(), truth)
}

/// Writes all rows into one file, and `truth`.
///
/// # Errors
/// What the file system says.
pub fn make_file(order: &Order, file: &Path, truth: &Path) -> Result<Made, std::io::Error> {
    write(order, vec![file.to_path_buf()], truth)
}

fn write(order: &Order, files: Vec<PathBuf>, truth: &Path) -> Result<Made, std::io::Error> {
    let mut maker = Maker {
        rng: Rng::with_seed(order.seed),
        popularity: popularity(),
        last_good: None,
        truth: BufWriter::new(create(truth)?),
    };
    writeln!(maker.truth, "row,kind,id,card_id")?;
    let mut made = Made {
        rows: order.rows,
        bad: 0,
        bytes: 0,
        files,
        truth: truth.to_path_buf(),
    };
    let count = made.files.len() as u64;
    for (path, file) in made.files.iter().zip(0..) {
        let rows = order.rows * file / count..order.rows * (file + 1) / count;
        let (bad, bytes) = maker.write_file(order, path, rows)?;
        made.bad += bad;
        made.bytes += bytes;
    }
    maker.truth.flush()?;
    Ok(made)
}

fn create(path: &Path) -> Result<File, std::io::Error> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => std::fs::create_dir_all(parent)?,
        _ => {}
    }
    File::create(path)
}

/// What goes on from file to file.
struct Maker {
    rng: Rng,
    popularity: Vec<f64>,
    last_good: Option<String>,
    truth: BufWriter<File>,
}

impl Maker {
    /// Writes one file; gives its bad rows and its bytes.
    fn write_file(
        &mut self,
        order: &Order,
        path: &Path,
        rows: Range<u64>,
    ) -> Result<(u64, u64), std::io::Error> {
        let mut out = BufWriter::with_capacity(1 << 20, create(path)?);
        let (mut bad, mut bytes) = (0, 0);
        let mut line = String::with_capacity(256);
        if !order.jsonl {
            line.push_str("id,card_id,merchant,country,amount,currency,ts,email,ip\n");
            out.write_all(line.as_bytes())?;
            bytes += line.len() as u64;
        }
        for row in rows {
            let mut payment = payment(&mut self.rng, row, order.rows, &self.popularity);
            let badness = spoil(
                &mut self.rng,
                order.bad,
                &mut payment,
                self.last_good.as_deref(),
            );
            match badness {
                Some((kind, _)) => {
                    bad += 1;
                    writeln!(
                        self.truth,
                        "{},{},{},C{:06}",
                        row + 1,
                        kind.name(),
                        payment.id,
                        payment.card
                    )?;
                }
                None if row % 50 == 0 => self.last_good = Some(payment.id.clone()),
                None => {}
            }
            line.clear();
            if order.jsonl {
                json_line(&mut line, &payment, badness);
            } else {
                csv_line(&mut line, &payment, badness);
            }
            line.push('\n');
            out.write_all(line.as_bytes())?;
            bytes += line.len() as u64;
        }
        out.flush()?;
        Ok((bad, bytes))
    }
}

/// Cumulative shares of the merchants: a few sell much, most sell little.
fn popularity() -> Vec<f64> {
    let mut sum = 0.0;
    let mut shares: Vec<f64> = (1..=MERCHANTS)
        .map(|rank| {
            sum += 1.0 / (rank as f64).powf(0.6);
            sum
        })
        .collect();
    for share in &mut shares {
        *share /= sum;
    }
    shares
}

fn payment(rng: &mut Rng, row: u64, rows: u64, popularity: &[f64]) -> Payment {
    let share = rng.f64();
    let merchant = popularity
        .partition_point(|bound| *bound < share)
        .min(MERCHANTS - 1);
    let mut offset = (row as f64 / rows.max(1) as f64 * SPAN_MS as f64) as u64 + rng.u64(0..1_000);
    if rng.f64() < 0.02 {
        offset = offset.saturating_sub(rng.u64(0..110_000));
    }
    if rng.f64() < 0.000_2 {
        offset = offset.saturating_sub(rng.u64(0..3_600_000));
    }
    // Log-normal amounts by the Box-Muller transform (Box and Muller, 1958): most are small, a few are large.
    let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
    Payment {
        id: format!("P{:09}", row + 1),
        card: rng.u32(0..100_000),
        merchant,
        country: COUNTRIES[rng.usize(0..COUNTRIES.len())],
        amount: format!("{:.2}", (3.2 + 1.1 * normal).exp() + 0.01),
        currency: CURRENCIES[rng.usize(0..CURRENCIES.len())],
        ts: timestamp(START_MS + offset),
        ip: [
            rng.u8(1..255),
            rng.u8(1..255),
            rng.u8(1..255),
            rng.u8(1..255),
        ],
    }
}

fn timestamp(ms: u64) -> String {
    chrono::DateTime::from_timestamp_millis(ms as i64)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .unwrap_or_default()
}

/// Makes the payment bad, now and then; says how, and with which variant.
fn spoil(
    rng: &mut Rng,
    share: f64,
    payment: &mut Payment,
    last_good: Option<&str>,
) -> Option<(Badness, usize)> {
    let (is_bad, kind, variant) = (rng.f64() < share, rng.usize(0..8), rng.usize(0..1 << 30));
    if !is_bad {
        return None;
    }
    let mut kind = Badness::ALL[kind];
    if kind == Badness::IdDup && last_good.is_none() {
        kind = Badness::AmountNan;
    }
    match kind {
        Badness::AmountNan => payment.amount = BAD_AMOUNTS[variant % BAD_AMOUNTS.len()].to_owned(),
        Badness::AmountNeg => payment.amount.insert(0, '-'),
        Badness::IdMissing => payment.id.clear(),
        Badness::IdDup => payment.id = last_good.unwrap_or_default().to_owned(),
        Badness::TsBad => payment.ts = BAD_TIMES[variant % BAD_TIMES.len()].to_owned(),
        Badness::CurrencyUnknown => {
            payment.currency = BAD_CURRENCIES[variant % BAD_CURRENCIES.len()]
        }
        Badness::FieldCount | Badness::BrokenQuote => {}
    }
    Some((kind, variant))
}

fn merchant_name(merchant: usize) -> String {
    if merchant.is_multiple_of(10) {
        format!("Shop, Inc {merchant:04}")
    } else {
        format!("merchant_{merchant:04}")
    }
}

fn csv_line(line: &mut String, payment: &Payment, badness: Option<(Badness, usize)>) {
    let name = merchant_name(payment.merchant);
    let quoted = if name.contains(',') {
        format!("\"{name}\"")
    } else {
        name.clone()
    };
    let Payment {
        id,
        card,
        country,
        amount,
        currency,
        ts,
        ip,
        ..
    } = payment;
    let email = email(payment);
    let ip = format!("{}.{}.{}.{}", ip[0], ip[1], ip[2], ip[3]);
    let head = format!("{id},C{card:06}");
    line.push_str(&match badness {
        Some((Badness::FieldCount, variant)) => match variant % 4 {
            0 => format!("{head},{quoted},{country},{amount},{currency}{ts},{email},{ip}"),
            1 => format!("{head},{quoted},{country},{amount},{currency},{ts},{email}"),
            2 => format!("{head},{quoted},{country},,{amount},{currency},{ts},{email},{ip}"),
            _ => format!("{head},{quoted},{country},{amount},{currency},{ts},{email},{ip},extra"),
        },
        Some((Badness::BrokenQuote, variant)) => match variant % 3 {
            0 => format!("{head},\"{name},{country},{amount},{currency},{ts},{email},{ip}"),
            1 => {
                let (start, rest) = name.split_at(4);
                let rest = rest.replace(',', "");
                format!("{head},\"{start}\"{rest},{country},{amount},{currency},{ts},{email},{ip}")
            }
            _ => format!("{head},{quoted},{country},{amount},{currency},{ts},\"{email},{ip}"),
        },
        _ => format!("{head},{quoted},{country},{amount},{currency},{ts},{email},{ip}"),
    });
}

fn json_line(line: &mut String, payment: &Payment, badness: Option<(Badness, usize)>) {
    let Payment {
        id,
        card,
        country,
        amount,
        currency,
        ts,
        ip,
        ..
    } = payment;
    let (name, email) = (merchant_name(payment.merchant), email(payment));
    let amount = match badness {
        Some((Badness::AmountNan, _)) => format!("\"{amount}\""),
        _ => amount.clone(),
    };
    let currency = match badness {
        Some((Badness::FieldCount, variant)) if variant % 2 == 1 => String::new(),
        _ => format!(",\"currency\":\"{currency}\""),
    };
    let email_value = match badness {
        Some((Badness::BrokenQuote, _)) => format!("\"{email}"),
        _ => format!("\"{email}\""),
    };
    let extra = match badness {
        Some((Badness::FieldCount, variant)) if variant % 2 == 0 => ",\"extra\":1",
        _ => "",
    };
    line.push_str(&format!(
        "{{\"id\":\"{id}\",\"card_id\":\"C{card:06}\",\"merchant\":\"{name}\",\"country\":\"{country}\",\"amount\":{amount}{currency},\"ts\":\"{ts}\",\"email\":{email_value},\"ip\":\"{}.{}.{}.{}\"{extra}}}",
        ip[0], ip[1], ip[2], ip[3]
    ));
}

fn email(payment: &Payment) -> String {
    format!(
        "user{}@mail{}.example",
        payment.card % 50_000,
        payment.merchant % 97
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_bytes_and_every_kind_occurs() {
        let folder = tempfile::tempdir().unwrap();
        let order = Order {
            rows: 4_000,
            seed: 7,
            bad: 0.05,
            files: 2,
            jsonl: false,
        };
        let first = make(
            &order,
            &folder.path().join("a"),
            &folder.path().join("a.truth.csv"),
        )
        .unwrap();
        let second = make(
            &order,
            &folder.path().join("b"),
            &folder.path().join("b.truth.csv"),
        )
        .unwrap();
        for (one, other) in first.files.iter().zip(&second.files) {
            assert_eq!(std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
        }
        let truth = std::fs::read_to_string(&first.truth).unwrap();
        assert_eq!(truth.lines().count() as u64, first.bad + 1);
        for kind in Badness::ALL {
            assert!(
                truth.contains(&format!(",{},", kind.name())),
                "no {}",
                kind.name()
            );
        }
    }
}
