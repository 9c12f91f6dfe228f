//! The events of Nexmark: people who come, auctions that they open, bids on them; of 50 events one, three and 46.
//!
//! After the model of Apache Beam's generator (Tucker, Tufte, Papadimos, Maier: NEXMark, a benchmark for queries over data
//! streams, 2002; its later form with hot auctions, bidders and sellers): the same proportions, the same skew, the same
//! average sizes of 200, 500 and 100 bytes. An event's time follows from its number and the rate, so that a run is
//! repeatable; the random numbers are not Beam's.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Builder, RecordBatch, StringViewBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use fastrand::Rng;

/// Of so many events …
const TURN: u64 = 50;
/// … so many are auctions, one is a person, and the others are bids.
const AUCTIONS: u64 = 3;
/// Ids begin here, and so do those of categories.
const FIRST_ID: u64 = 1_000;
const FIRST_CATEGORY: i64 = 10;
/// Auctions that get bids at a time, people who bid, and how far ahead of the newest one an id may be.
const AUCTIONS_OPEN: u64 = 100;
const PEOPLE_ACTIVE: u64 = 1_000;
const LEAD: u64 = 10;
/// One of so many bids and auctions is not on, by or from the hot one.
const HOT_AUCTIONS: u64 = 2;
const HOT_PEOPLE: u64 = 4;
/// A hot one stays so for so many others.
const HOT_FOR: u64 = 100;
/// Average bytes of a row, to which `extra` fills it.
const PERSON_BYTES: usize = 200;
const AUCTION_BYTES: usize = 500;
const BID_BYTES: usize = 100;
/// Where time begins: 2015-07-15 00:00 UTC, in microseconds.
const BEGIN: i64 = 1_436_918_400_000_000;

const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const CHANNELS: u64 = 10_000;
const FIRST_NAMES: [&str; 11] = [
    "peter", "paul", "luke", "john", "saul", "vicky", "kate", "julie", "sarah", "deiter", "walter",
];
const LAST_NAMES: [&str; 9] = [
    "shultz", "abrams", "spencer", "white", "bartels", "walton", "smith", "jones", "noris",
];
const CITIES: [(&str, &str); 10] = [
    ("phoenix", "az"),
    ("los angeles", "ca"),
    ("san francisco", "ca"),
    ("boise", "id"),
    ("portland", "or"),
    ("bend", "or"),
    ("redmond", "wa"),
    ("seattle", "wa"),
    ("kent", "wa"),
    ("cheyenne", "wy"),
];

/// Makes events, batch by batch.
pub struct Generator {
    random: Rng,
    /// The number of the next event.
    next: u64,
    /// Events a second of their own time.
    rate: u64,
    text: String,
}

/// The rows of some events, in the order of their times.
pub struct Events {
    pub person: RecordBatch,
    pub auction: RecordBatch,
    pub bid: RecordBatch,
}

impl Generator {
    /// The events of one seed, so many a second.
    pub fn new(rate: u64) -> Self {
        Self {
            random: Rng::with_seed(1),
            next: 0,
            rate,
            text: String::new(),
        }
    }

    /// The next events.
    pub fn take(&mut self, count: u64) -> Result<Events, ArrowError> {
        let mut person = Rows::new(&person());
        let mut auction = Rows::new(&auction());
        let mut bid = Rows::new(&bid());
        for number in self.next..self.next + count {
            match number % TURN {
                0 => self.add_person(number, &mut person),
                1..=AUCTIONS => self.add_auction(number, &mut auction),
                _ => self.add_bid(number, &mut bid),
            }
        }
        self.next += count;
        Ok(Events {
            person: person.finish()?,
            auction: auction.finish()?,
            bid: bid.finish()?,
        })
    }

    fn time(&self, number: u64) -> i64 {
        BEGIN + i64::try_from(number * 1_000_000 / self.rate).unwrap_or(i64::MAX)
    }

    fn add_person(&mut self, number: u64, rows: &mut Rows) {
        let name = (self.one_of(&FIRST_NAMES), self.one_of(&LAST_NAMES));
        let (city, state) = self.one_of(&CITIES);
        rows.number(FIRST_ID + last_person(number));
        rows.text(&format!("{} {}", name.0, name.1));
        let mail = (self.letters(7).to_owned(), self.letters(5).to_owned());
        rows.text(&format!("{}@{}.com", mail.0, mail.1));
        let mut card = || self.random.u32(0..10_000);
        let card = format!("{:04} {:04} {:04} {:04}", card(), card(), card(), card());
        rows.text(&card);
        rows.text(city);
        rows.text(state);
        rows.time(self.time(number));
        rows.text(self.filler(PERSON_BYTES, 8 + 8 + 60));
    }

    fn add_auction(&mut self, number: u64, rows: &mut Rows) {
        let (begins, first) = (self.time(number), self.price());
        let seller = match self.random.u64(0..HOT_PEOPLE) {
            0 => self.active_person(number),
            _ => last_person(number) / HOT_FOR * HOT_FOR,
        };
        rows.number(FIRST_ID + last_auction(number));
        rows.text(self.words(20));
        rows.text(self.words(100));
        rows.count(first);
        let more = self.price();
        rows.count(first + more);
        rows.time(begins);
        // As long as it takes until the auctions that are open now have been followed by as many others.
        let ahead = AUCTIONS_OPEN * TURN / AUCTIONS * 1_000_000 / self.rate;
        let length = 1 + self.random.u64(0..2 * ahead.max(1));
        rows.time(begins + i64::try_from(length).unwrap_or(i64::MAX));
        rows.number(FIRST_ID + seller);
        rows.count(FIRST_CATEGORY + self.random.i64(0..5));
        rows.text(self.filler(AUCTION_BYTES, 8 * 7 + 60));
    }

    fn add_bid(&mut self, number: u64, rows: &mut Rows) {
        let newest = last_auction(number);
        let auction = match self.random.u64(0..HOT_AUCTIONS) {
            0 => {
                let oldest = newest.saturating_sub(AUCTIONS_OPEN);
                self.random.u64(oldest..=newest + LEAD)
            }
            _ => newest / HOT_FOR * HOT_FOR,
        };
        let bidder = match self.random.u64(0..HOT_PEOPLE) {
            0 => self.active_person(number),
            _ => last_person(number) / HOT_FOR * HOT_FOR + 1,
        };
        rows.number(FIRST_ID + auction);
        rows.number(FIRST_ID + bidder);
        let price = self.price();
        rows.count(price);
        if self.random.bool() {
            let channel = self.one_of(&HOT_CHANNELS);
            rows.text(channel);
            rows.text(&format!(
                "https://www.nexmark.com/{channel}/item.htm?query=1"
            ));
        } else {
            let channel = self.random.u64(0..CHANNELS);
            rows.text(&format!("channel-{channel}"));
            rows.text(&format!(
                "https://www.nexmark.com/channel/item.htm?query=1&channel_id={channel}"
            ));
        }
        rows.time(self.time(number));
        rows.text(self.filler(BID_BYTES, 8 * 4));
    }

    /// Somebody who came lately, or is about to.
    fn active_person(&mut self, number: u64) -> u64 {
        let people = last_person(number) + 1;
        let active = people.min(PEOPLE_ACTIVE);
        people - active + self.random.u64(0..active + LEAD)
    }

    /// Evenly spread in its logarithm, from 100 to a hundred million.
    #[expect(clippy::cast_possible_truncation, reason = "no more than 10^8")]
    fn price(&mut self) -> i64 {
        (10f64.powf(self.random.f64() * 6.0) * 100.0).round() as i64
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.usize(0..choices.len())]
    }

    /// What a row lacks of its average size, give or take a fifth.
    fn filler(&mut self, average: usize, used: usize) -> &str {
        let lacks = average.saturating_sub(used);
        let spread = lacks / 5;
        let length = lacks - spread + self.random.usize(0..=2 * spread);
        self.letters(length)
    }

    /// A text of up to so many letters, at least three.
    fn words(&mut self, longest: usize) -> &str {
        let length = self.random.usize(3..=longest);
        self.letters(length)
    }

    /// Letters; twelve of one random number.
    fn letters(&mut self, length: usize) -> &str {
        self.text.clear();
        while self.text.len() < length {
            let mut random = self.random.u64(..);
            for _ in 0..12.min(length - self.text.len()) {
                self.text.push(char::from(b'a' + (random % 26) as u8));
                random /= 26;
            }
        }
        &self.text
    }
}

/// The newest person when an event happens, counted from 0.
fn last_person(number: u64) -> u64 {
    number / TURN
}

/// The newest auction when an event happens, counted from 0.
fn last_auction(number: u64) -> u64 {
    let (turn, place) = (number / TURN, number % TURN);
    match place {
        0 => (turn * AUCTIONS).saturating_sub(1),
        place => turn * AUCTIONS + place.min(AUCTIONS) - 1,
    }
}

/// Rows in the making: values are added column by column, row by row.
struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    at: usize,
}

enum Column {
    Number(Int64Builder),
    Text(StringViewBuilder),
    Time(TimestampMicrosecondBuilder),
}

impl Rows {
    fn new(schema: &SchemaRef) -> Self {
        let column = |field: &Arc<Field>| match field.data_type() {
            DataType::Int64 => Column::Number(Int64Builder::new()),
            DataType::Timestamp(..) => {
                Column::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            _ => Column::Text(StringViewBuilder::new()),
        };
        Self {
            columns: schema.fields().iter().map(column).collect(),
            schema: Arc::clone(schema),
            at: 0,
        }
    }

    fn next(&mut self) -> Option<&mut Column> {
        let at = self.at % self.columns.len();
        self.at += 1;
        self.columns.get_mut(at)
    }

    fn number(&mut self, value: u64) {
        self.count(i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn count(&mut self, value: i64) {
        if let Some(Column::Number(column)) = self.next() {
            column.append_value(value);
        }
    }

    fn text(&mut self, value: &str) {
        if let Some(Column::Text(column)) = self.next() {
            column.append_value(value);
        }
    }

    fn time(&mut self, value: i64) {
        if let Some(Column::Time(column)) = self.next() {
            column.append_value(value);
        }
    }

    fn finish(self) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.into_iter().map(|column| -> ArrayRef {
            match column {
                Column::Number(mut column) => Arc::new(column.finish()),
                Column::Text(mut column) => Arc::new(column.finish()),
                Column::Time(mut column) => Arc::new(column.finish()),
            }
        });
        RecordBatch::try_new(self.schema, columns.collect())
    }
}

/// The columns of people.
pub fn person() -> SchemaRef {
    schema(&[
        ("id", Kind::Number),
        ("name", Kind::Text),
        ("email_address", Kind::Text),
        ("credit_card", Kind::Text),
        ("city", Kind::Text),
        ("state", Kind::Text),
        ("date_time", Kind::Time),
        ("extra", Kind::Text),
    ])
}

/// The columns of auctions.
pub fn auction() -> SchemaRef {
    schema(&[
        ("id", Kind::Number),
        ("item_name", Kind::Text),
        ("description", Kind::Text),
        ("initial_bid", Kind::Number),
        ("reserve", Kind::Number),
        ("date_time", Kind::Time),
        ("expires", Kind::Time),
        ("seller", Kind::Number),
        ("category", Kind::Number),
        ("extra", Kind::Text),
    ])
}

/// The columns of bids.
pub fn bid() -> SchemaRef {
    schema(&[
        ("auction", Kind::Number),
        ("bidder", Kind::Number),
        ("price", Kind::Number),
        ("channel", Kind::Text),
        ("url", Kind::Text),
        ("date_time", Kind::Time),
        ("extra", Kind::Text),
    ])
}

#[derive(Clone, Copy)]
enum Kind {
    Number,
    Text,
    Time,
}

fn schema(columns: &[(&str, Kind)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, kind)| {
        let kind = match kind {
            Kind::Number => DataType::Int64,
            Kind::Text => DataType::Utf8View,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Field::new(*name, kind, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
