//! Nothing that is written can make the reader panic or hang: every file of the corpus, cut off at
//! every few bytes and changed at random, is read, checked and drawn.

use std::time::{Duration, Instant};

use tidegate_project::fuzz_parse;

use super::scripts;

/// A small generator of random numbers, the same ones in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let paths = scripts("ok").into_iter().chain(scripts("errors"));
    paths.map(|path| std::fs::read(path).unwrap()).collect()
}

/// No input of the size of the corpus may take this long, even unoptimised on a busy machine.
const SLOW: Duration = Duration::from_secs(5);

fn check(text: &[u8]) {
    let start = Instant::now();
    fuzz_parse(text);
    let took = start.elapsed();
    let shown = String::from_utf8_lossy(text);
    let shown: String = shown.chars().take(3_000).collect();
    assert!(took < SLOW, "{took:?} for:\n{shown}");
}

#[test]
fn truncations() {
    for text in corpus() {
        let step = (text.len() / 25).max(1);
        for end in (0..text.len()).step_by(step) {
            check(&text[..end]);
        }
    }
}

#[test]
fn mutations() {
    const PIECES: &[&str] = &[
        "(",
        ")",
        "'",
        "`",
        "\"",
        ";",
        ",",
        "<",
        ">>",
        "@",
        "@v",
        "*",
        "/*",
        "--",
        "\\",
        "=>",
        "::",
        "STREAM",
        "STREAM(",
        "CREATE",
        "FROM",
        "SELECT",
        "WITH",
        "AS",
        "VERSION AS OF",
        "WATERMARK",
        "DELAY OF",
        "TIMESTAMP AS OF",
        "LATERAL",
        "TABLE",
        "é",
        "\u{202e}",
        "\0",
        "0",
        "1e9999",
        "r'",
        "INTERVAL",
        "NOT",
        "CASE",
        "read_files(",
        "MAP<",
        "[",
        "]",
        "{",
        "}",
        "${",
        "$",
    ];
    // `ROUNDS=1000` looks further.
    let rounds = std::env::var("ROUNDS").map_or(12, |rounds| rounds.parse().unwrap());
    let mut random = Random(0x5eed ^ rounds);
    for text in corpus() {
        for _ in 0..rounds {
            let mut changed = text.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(changed.len() + 1);
                match random.below(4) {
                    0 => {
                        let piece = PIECES[random.below(PIECES.len())];
                        changed.splice(at..at, piece.bytes());
                    }
                    1 => {
                        let end = (at + random.below(20)).min(changed.len());
                        changed.drain(at..end);
                    }
                    2 => {
                        let from = random.below(changed.len() + 1);
                        let end = (from + random.below(60)).min(changed.len());
                        let copied = changed[from..end].to_vec();
                        changed.splice(at..at, copied);
                    }
                    _ if at < changed.len() => changed[at] = random.below(256) as u8,
                    _ => {}
                }
            }
            check(&changed);
        }
    }
}

#[test]
fn deep_and_long() {
    let repeated = |piece: &str, count: usize| piece.repeat(count);
    let query = |body: &str| format!("CREATE MATERIALIZED VIEW v AS SELECT {body}");
    for text in [
        query(&repeated("(", 20_000)),
        query(&repeated("1 + ", 100_000)),
        query(&repeated("NOT ", 20_000)),
        query(&repeated("- ", 20_000)),
        query(&repeated("CASE WHEN ", 20_000)),
        query(&repeated("a.", 20_000)),
        query(&repeated("x[", 20_000)),
        query(&format!("{}1", repeated("f(", 5_000))),
        query(&format!("CAST(a AS {}", repeated("ARRAY<", 20_000))),
        query(&format!("* FROM {}t", repeated("(", 3_000))),
        query(&format!("* FROM {}", repeated("(SELECT * FROM ", 300))),
        query(&format!("* FROM {}", repeated("((SELECT * FROM ", 300))),
        query(&format!("1 {}", repeated("UNION SELECT 1 ", 20_000))),
        query(&format!("* FROM a {}", repeated("JOIN b ", 5_000))),
        query(&format!(
            "* FROM a {}",
            repeated("JOIN b USING (x) ", 2_000)
        )),
        query(&format!("a IN ({}1)", repeated("'x', ", 50_000))),
        query(&format!("'a' {}", repeated("|| 'b' ", 900))),
        query(&format!("INTERVAL {}1", repeated("INTERVAL ", 20_000))),
        query(&format!("{}1", repeated("DATE ", 20_000))),
        format!(
            "CREATE STREAMING TABLE t (a {}",
            repeated("STRUCT<a: ", 20_000)
        ),
        format!(
            "CREATE STREAMING TABLE t (a {})",
            repeated("MAP<INT, ", 20_000)
        ),
        format!("CREATE STREAMING TABLE {}t", repeated("a.", 20_000)),
        repeated("CREATE\n", 20_000),
        repeated("CREATE STREAMING TABLE\n", 5_000),
        repeated(";", 100_000),
        repeated("/*", 20_000),
        repeated("'", 20_001),
        format!("SET a = {}", repeated("x ", 50_000)),
    ] {
        check(text.as_bytes());
    }
}
