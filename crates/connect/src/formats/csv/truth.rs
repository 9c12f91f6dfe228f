//! Dirty payments with known truth: rows of a wrong length and with broken quotes are malformed,
//! and no other row is lost, however the file is cut.

use crate::tests::read;

/// A row and whether it is malformed.
fn payment(n: u64) -> (String, Option<&'static str>) {
    // A multiplicative hash: the same rows on every machine.
    let draw = |salt: u64, limit: u64| {
        (n.wrapping_add(salt * 7919)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            >> 33)
            % limit
    };
    let merchant = if draw(1, 10) == 0 {
        format!("Shop, Inc {n:04}")
    } else {
        format!("merchant_{n:04}")
    };
    let quoted = if merchant.contains(',') {
        format!("\"{merchant}\"")
    } else {
        merchant.clone()
    };
    let (card, amount) = (draw(2, 100_000), draw(3, 100_000));
    let rest = format!(
        "{amount}.50,EUR,2026-10-05T00:00:00Z,user{card}@mail.example,10.0.0.{}",
        n % 250
    );
    let start = format!("P{n:09},C{card:06}");
    let good = format!("{start},{quoted},DE,{rest}");
    if draw(4, 20) > 0 {
        return (good, None);
    }
    match draw(5, 9) {
        0 => (
            format!("{start},{quoted},DE,{}", rest.replacen(",2026", "2026", 1)),
            Some("field_count"),
        ),
        1 => (
            format!("{start},{quoted},DE,{}", rest.rsplit_once(',').unwrap().0),
            Some("field_count"),
        ),
        2 => (format!("{start},{quoted},DE,,{rest}"), Some("field_count")),
        3 => (format!("{good},extra"), Some("field_count")),
        4 => (
            format!("{start},\"{merchant},DE,{rest}"),
            Some("broken_quote"),
        ),
        5 => (
            format!(
                "{start},\"{}\"{},DE,{rest}",
                &merchant[..4],
                merchant[4..].replace(',', "")
            ),
            Some("broken_quote"),
        ),
        6 => (
            format!("{start},{quoted},DE,{}", rest.replace("user", "\"user")),
            Some("broken_quote"),
        ),
        7 => (
            format!("{start},{}\",DE,{rest}", merchant.replace(',', "")),
            None,
        ),
        _ => (
            format!("{start},\"two\nlines, \"\"quoted\"\"\",DE,{rest}"),
            None,
        ),
    }
}

#[test]
fn every_malformed_row_is_found_and_no_other_is_lost() {
    let mut text = "id,card_id,merchant,country,amount,currency,ts,email,ip\n".to_owned();
    let (mut good, mut bad, mut line) = (Vec::new(), Vec::new(), 2);
    for n in 0..30_000 {
        let (row, kind) = payment(n);
        match kind {
            None => good.push((line, row.clone().into_bytes())),
            Some(kind) => bad.push((line, kind, row.clone().into_bytes())),
        }
        line += row.matches('\n').count() as u64 + 1;
        text += &row;
        text.push('\n');
    }
    assert!(bad.len() > 500);
    for block in ["16mb", "64kb", "999"] {
        let (_, outcome) = read(
            "payments.csv",
            &text,
            &[("blockBytes", block), ("maxRowBytes", "10kb")],
        );
        let found: Vec<(u64, Vec<u8>)> = outcome
            .rows
            .into_iter()
            .map(|(line, raw, _)| (line, raw))
            .collect();
        assert!(found == good, "blocks of {block}");
        let malformed: Vec<(u64, &str, Vec<u8>)> = outcome
            .malformed
            .iter()
            .map(|(line, raw, kind, _)| (*line, kind.name(), raw.to_vec()))
            .collect();
        assert!(malformed == bad, "blocks of {block}");
    }
}

/// The same of a file that the benchmark's generator made: `TIDEGATE_TRUTH=/path/p1m cargo test -- --ignored`.
#[test]
#[ignore = "needs a generated file"]
fn the_benchmark_agrees() {
    let prefix = std::env::var("TIDEGATE_TRUTH").unwrap();
    let truth = std::fs::read_to_string(format!("{prefix}.truth.csv")).unwrap();
    let expected: Vec<(u64, &str)> = truth
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|fields| matches!(fields[1], "field_count" | "broken_quote"))
        .map(|fields| (fields[0].parse::<u64>().unwrap() + 1, fields[1]))
        .collect();
    let (_, outcome) = read(
        "p.csv",
        std::fs::read(format!("{prefix}.csv")).unwrap(),
        &[],
    );
    let found: Vec<(u64, &str)> = outcome
        .malformed
        .iter()
        .map(|(line, _, kind, _)| (*line, kind.name()))
        .collect();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected);
    assert_eq!(
        outcome.rows.len() as u64 + found.len() as u64 + 1,
        outcome.lines
    );
}
