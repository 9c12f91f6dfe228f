//! The eight tables of TPC-H, small and made here: values as the specification has them where a
//! query asks for them, and chosen so that every query finds rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
};
use arrow::datatypes::{Field, Schema};

/// The names of the tables, in the order in which they are made.
pub const TABLES: [&str; 8] = [
    "region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem",
];

const SUPPLIERS: i64 = 50;
const CUSTOMERS: i64 = 300;
const PARTS: i64 = 400;
const ORDERS: i64 = 3_000;
const SUPPLIERS_OF_A_PART: i64 = 4;

/// 1992-01-01, in days since 1970.
const FIRST_DAY: i64 = 8_035;
/// How many days orders come in.
const ORDER_DAYS: i64 = 2_405;
/// 1995-06-17, the specification's "current date".
const TODAY: i64 = 9_298;

const REGIONS: [&str; 5] = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"];
const NATIONS: [(&str, i64); 25] = [
    ("ALGERIA", 0),
    ("ARGENTINA", 1),
    ("BRAZIL", 1),
    ("CANADA", 1),
    ("EGYPT", 4),
    ("ETHIOPIA", 0),
    ("FRANCE", 3),
    ("GERMANY", 3),
    ("INDIA", 2),
    ("INDONESIA", 2),
    ("IRAN", 4),
    ("IRAQ", 4),
    ("JAPAN", 2),
    ("JORDAN", 4),
    ("KENYA", 0),
    ("MOROCCO", 0),
    ("MOZAMBIQUE", 0),
    ("PERU", 1),
    ("CHINA", 2),
    ("ROMANIA", 3),
    ("SAUDI ARABIA", 4),
    ("VIETNAM", 2),
    ("RUSSIA", 3),
    ("UNITED KINGDOM", 3),
    ("UNITED STATES", 1),
];
const COLOURS: [&str; 8] = [
    "forest", "green", "azure", "blush", "ivory", "peru", "rosy", "tan",
];
const BRANDS: [&str; 5] = ["Brand#12", "Brand#23", "Brand#34", "Brand#45", "Brand#51"];
const SIZES: [i32; 12] = [1, 3, 5, 9, 14, 15, 19, 23, 36, 45, 49, 50];
const CONTAINERS: [&str; 8] = [
    "SM CASE",
    "SM BOX",
    "MED BOX",
    "MED BAG",
    "LG CASE",
    "LG PKG",
    "JUMBO PACK",
    "WRAP CAN",
];
const TYPES: [[&str; 5]; 3] = [
    ["ECONOMY", "PROMO", "MEDIUM", "LARGE", "STANDARD"],
    ["ANODIZED", "POLISHED", "PLATED", "BURNISHED", "BRUSHED"],
    ["STEEL", "BRASS", "COPPER", "NICKEL", "TIN"],
];
const SEGMENTS: [&str; 5] = [
    "AUTOMOBILE",
    "BUILDING",
    "FURNITURE",
    "HOUSEHOLD",
    "MACHINERY",
];
const PRIORITIES: [&str; 5] = ["1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW"];
const MODES: [&str; 7] = ["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"];
const INSTRUCTIONS: [&str; 4] = [
    "COLLECT COD",
    "DELIVER IN PERSON",
    "NONE",
    "TAKE BACK RETURN",
];

/// A source of numbers that are always the same (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high - low + 1).unwrap();
        low + i64::try_from(self.next() % width).unwrap()
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.next() % all.len() as u64).unwrap()]
    }
}

/// Columns as they are filled, row by row.
#[derive(Default)]
struct Columns {
    names: Vec<&'static str>,
    cells: Vec<Vec<Cell>>,
    at: usize,
}

#[derive(Clone)]
enum Cell {
    Key(i64),
    Count(i32),
    Money(i64),
    Day(i64),
    Text(String),
}

impl Columns {
    fn put(&mut self, name: &'static str, cell: Cell) {
        if self.at == self.names.len() {
            self.names.push(name);
            self.cells.push(Vec::new());
        }
        assert_eq!(self.names[self.at], name);
        self.cells[self.at].push(cell);
        self.at += 1;
    }

    fn key(&mut self, name: &'static str, value: i64) {
        self.put(name, Cell::Key(value));
    }

    fn count(&mut self, name: &'static str, value: i32) {
        self.put(name, Cell::Count(value));
    }

    /// In cents.
    fn money(&mut self, name: &'static str, value: i64) {
        self.put(name, Cell::Money(value));
    }

    fn day(&mut self, name: &'static str, value: i64) {
        self.put(name, Cell::Day(value));
    }

    fn text(&mut self, name: &'static str, value: impl Into<String>) {
        self.put(name, Cell::Text(value.into()));
    }

    fn end_row(&mut self) {
        assert_eq!(self.at, self.names.len());
        self.at = 0;
    }

    fn finish(self) -> RecordBatch {
        let columns: Vec<ArrayRef> = self.cells.into_iter().map(array).collect();
        let fields: Vec<Field> = self
            .names
            .iter()
            .zip(&columns)
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), false))
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }
}

fn array(cells: Vec<Cell>) -> ArrayRef {
    let number = |cell: &Cell| match cell {
        Cell::Key(value) | Cell::Money(value) | Cell::Day(value) => *value,
        Cell::Count(value) => i64::from(*value),
        Cell::Text(text) => panic!("{text} is no number"),
    };
    let small = |cell: &Cell| i32::try_from(number(cell)).unwrap();
    match cells[0] {
        Cell::Key(_) => Arc::new(Int64Array::from_iter_values(cells.iter().map(number))),
        Cell::Count(_) => Arc::new(Int32Array::from_iter_values(cells.iter().map(small))),
        Cell::Day(_) => Arc::new(Date32Array::from_iter_values(cells.iter().map(small))),
        Cell::Money(_) => {
            let cents = cells.iter().map(|cell| i128::from(number(cell)));
            let decimals = Decimal128Array::from_iter_values(cents);
            Arc::new(decimals.with_precision_and_scale(15, 2).unwrap())
        }
        Cell::Text(_) => {
            let texts = cells.iter().map(|cell| match cell {
                Cell::Text(text) => text.as_str(),
                _ => panic!("a column has one type"),
            });
            Arc::new(StringViewArray::from_iter_values(texts))
        }
    }
}

/// All tables, in the order of [`TABLES`].
pub fn tables() -> Vec<RecordBatch> {
    let mut dice = Dice(1);
    let (orders, lines) = orders(&mut dice);
    vec![
        regions(),
        nations(),
        suppliers(&mut dice),
        customers(&mut dice),
        parts(&mut dice),
        offers(&mut dice),
        orders,
        lines,
    ]
}

fn regions() -> RecordBatch {
    let mut rows = Columns::default();
    for (key, name) in (0..).zip(REGIONS) {
        rows.key("r_regionkey", key);
        rows.text("r_name", name);
        rows.text("r_comment", "a region");
        rows.end_row();
    }
    rows.finish()
}

fn nations() -> RecordBatch {
    let mut rows = Columns::default();
    for (key, (name, region)) in (0..).zip(NATIONS) {
        rows.key("n_nationkey", key);
        rows.text("n_name", name);
        rows.key("n_regionkey", region);
        rows.text("n_comment", "a nation");
        rows.end_row();
    }
    rows.finish()
}

fn phone(nation: i64, key: i64) -> String {
    format!("{}-{:03}-{:03}-{:04}", nation + 10, key % 1000, 7, key)
}

fn suppliers(dice: &mut Dice) -> RecordBatch {
    let mut rows = Columns::default();
    for key in 1..=SUPPLIERS {
        let nation = key % 25;
        rows.key("s_suppkey", key);
        rows.text("s_name", format!("Supplier#{key:09}"));
        rows.text("s_address", format!("{key} Harbour Street"));
        rows.key("s_nationkey", nation);
        rows.text("s_phone", phone(nation, key));
        rows.money("s_acctbal", dice.between(-99_999, 999_999));
        let comment = match key % 9 {
            4 => "the Customer had some Complaints",
            _ => "nothing to say",
        };
        rows.text("s_comment", comment);
        rows.end_row();
    }
    rows.finish()
}

fn customers(dice: &mut Dice) -> RecordBatch {
    let mut rows = Columns::default();
    for key in 1..=CUSTOMERS {
        let nation = dice.between(0, 24);
        rows.key("c_custkey", key);
        rows.text("c_name", format!("Customer#{key:09}"));
        rows.text("c_address", format!("{key} Market Square"));
        rows.key("c_nationkey", nation);
        rows.text("c_phone", phone(nation, key));
        rows.money("c_acctbal", dice.between(-99_999, 999_999));
        rows.text("c_mktsegment", dice.pick(&SEGMENTS));
        rows.text("c_comment", "a customer");
        rows.end_row();
    }
    rows.finish()
}

fn parts(dice: &mut Dice) -> RecordBatch {
    let mut rows = Columns::default();
    for key in 1..=PARTS {
        let (first, second) = (dice.pick(&COLOURS), dice.pick(&COLOURS));
        let types: Vec<&str> = TYPES.iter().map(|words| dice.pick(words)).collect();
        rows.key("p_partkey", key);
        rows.text("p_name", format!("{first} {second} part"));
        rows.text("p_mfgr", format!("Manufacturer#{}", dice.between(1, 5)));
        rows.text("p_brand", dice.pick(&BRANDS));
        rows.text("p_type", types.join(" "));
        rows.count("p_size", dice.pick(&SIZES));
        rows.text("p_container", dice.pick(&CONTAINERS));
        rows.money("p_retailprice", price(key));
        rows.text("p_comment", "a part");
        rows.end_row();
    }
    rows.finish()
}

fn price(part: i64) -> i64 {
    90_000 + part * 20 + 100 * (part % 1000)
}

/// The supplier that offers a part, of the four that do.
fn supplier_of(part: i64, offer: i64) -> i64 {
    (part + offer * (SUPPLIERS / SUPPLIERS_OF_A_PART + 1)) % SUPPLIERS + 1
}

fn offers(dice: &mut Dice) -> RecordBatch {
    let mut rows = Columns::default();
    for part in 1..=PARTS {
        for offer in 0..SUPPLIERS_OF_A_PART {
            rows.key("ps_partkey", part);
            rows.key("ps_suppkey", supplier_of(part, offer));
            rows.count("ps_availqty", dice.between(1, 9_999) as i32);
            rows.money("ps_supplycost", dice.between(100, 100_000));
            rows.text("ps_comment", "an offer");
            rows.end_row();
        }
    }
    rows.finish()
}

fn orders(dice: &mut Dice) -> (RecordBatch, RecordBatch) {
    let (mut rows, mut lines) = (Columns::default(), Columns::default());
    for key in 1..=ORDERS {
        // As in the specification, a third of the customers never orders.
        let customer = match dice.between(1, CUSTOMERS) {
            third if third % 3 == 0 => third - 1,
            other => other,
        };
        let day = FIRST_DAY + dice.between(0, ORDER_DAYS - 1);
        let large = key % 100 == 0;
        let count = if large { 7 } else { dice.between(1, 7) };
        let total: i64 = (1..=count)
            .map(|number| line(dice, &mut lines, (key, number), day, large))
            .sum();
        rows.key("o_orderkey", key);
        rows.key("o_custkey", customer);
        rows.text("o_orderstatus", if day < TODAY { "F" } else { "O" });
        rows.money("o_totalprice", total);
        rows.day("o_orderdate", day);
        rows.text("o_orderpriority", dice.pick(&PRIORITIES));
        rows.text("o_clerk", format!("Clerk#{:09}", dice.between(1, 9)));
        rows.count("o_shippriority", 0);
        let comment = match key % 17 {
            3 => "some special and urgent requests",
            _ => "an order",
        };
        rows.text("o_comment", comment);
        rows.end_row();
    }
    (rows.finish(), lines.finish())
}

/// One line of an order; its price.
fn line(dice: &mut Dice, rows: &mut Columns, of: (i64, i64), day: i64, large: bool) -> i64 {
    let (order, number) = of;
    let part = dice.between(1, PARTS);
    let supplier = supplier_of(part, dice.between(0, SUPPLIERS_OF_A_PART - 1));
    let quantity = dice.between(if large { 45 } else { 1 }, 50);
    let shipped = day + dice.between(1, 121);
    let committed = day + dice.between(30, 90);
    let received = shipped + dice.between(1, 30);
    rows.key("l_orderkey", order);
    rows.key("l_partkey", part);
    rows.key("l_suppkey", supplier);
    rows.count("l_linenumber", number as i32);
    rows.money("l_quantity", quantity * 100);
    rows.money("l_extendedprice", quantity * price(part));
    rows.money("l_discount", dice.between(0, 10));
    rows.money("l_tax", dice.between(0, 8));
    let flag = match (received <= TODAY, order % 2) {
        (false, _) => "N",
        (true, 0) => "A",
        (true, _) => "R",
    };
    rows.text("l_returnflag", flag);
    rows.text("l_linestatus", if shipped > TODAY { "O" } else { "F" });
    rows.day("l_shipdate", shipped);
    rows.day("l_commitdate", committed);
    rows.day("l_receiptdate", received);
    rows.text("l_shipinstruct", dice.pick(&INSTRUCTIONS));
    rows.text("l_shipmode", dice.pick(&MODES));
    rows.text("l_comment", "a line");
    rows.end_row();
    quantity * price(part)
}
