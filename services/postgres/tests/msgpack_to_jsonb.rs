//! MessagePack values in SQL: Postgres decodes each to the value that core reads.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their seeds")]

use rand::prelude::*;
use tidelog_core::time::UnixMs;
use tidelog_core::value::Value;
use tidelog_core::value::ValueMap;
use tidelog_testkit::TestDatabase;
use tokio_postgres::Client;

/// The jsonb of each packed value, as text.
async fn unpacked(client: &Client, packed: &[Vec<u8>]) -> Vec<String> {
    let sql =
        "SELECT tidelog.msgpack_to_jsonb(p)::text FROM unnest($1::bytea[]) WITH ORDINALITY AS u (p, n) ORDER BY n";
    client.query(sql, &[&packed]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn packed(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.write_msgpack(&mut bytes);
    bytes
}

/// Asserts that Postgres decodes each value correctly: core, which is strict about types, reads the text of the jsonb
/// as the same value.
async fn assert_unpacked(client: &Client, values: &[Value]) {
    let texts = unpacked(client, &values.iter().map(packed).collect::<Vec<_>>()).await;
    assert_eq!(texts.len(), values.len());
    for (text, value) in texts.iter().zip(values) {
        let read: Value = serde_json::from_str(text).unwrap();
        assert!(read == *value, "{text} is not {}", serde_json::to_string(value).unwrap());
    }
    // The jsonb also equals the JSON that core writes.
    let sql =
        "SELECT bool_and(tidelog.msgpack_to_jsonb(p) = j::jsonb) FROM unnest($1::bytea[], $2::text[]) AS u (p, j)";
    let written: Vec<_> = values.iter().map(|value| serde_json::to_string(value).unwrap()).collect();
    let bytes: Vec<_> = values.iter().map(packed).collect();
    assert!(client.query_one(sql, &[&bytes, &written]).await.unwrap().get::<_, bool>(0));
}

fn text(rng: &mut StdRng) -> String {
    let letters: Vec<char> = "ab \"\\/\n\r\t\u{1}\u{7f}é€😀,:{}[]'".chars().collect();
    (0..rng.random_range(0..40)).map(|_| *letters.choose(rng).unwrap()).collect()
}

fn float(rng: &mut StdRng) -> f64 {
    match rng.random_range(0..4) {
        0 => f64::from(rng.random_range(-1_000_000..1_000_000)) / 100.0,
        1 => f64::from(rng.random_range(-1_000..1_000)),
        // Any finite float, including subnormal ones.
        2 => Some(f64::from_bits(rng.random())).filter(|float| float.is_finite()).unwrap_or(0.1),
        _ => f64::from_bits(rng.random::<u64>() >> 12),
    }
}

fn value(rng: &mut StdRng, depth: usize) -> Value {
    match rng.random_range(0..if depth < 4 { 10 } else { 7 }) {
        0 => Value::Null,
        1 => Value::Bool(rng.random()),
        2 => Value::Int(rng.random::<i64>() >> rng.random_range(0..64)),
        // Adding 0.0 turns -0.0, which is not a value, into 0.0.
        3 => Value::Float(float(rng) + 0.0),
        4 | 5 => Value::Text(text(rng)),
        6 => Value::Binary((0..rng.random_range(0..100)).map(|_| rng.random()).collect()),
        7 => Value::Array((0..rng.random_range(0..6)).map(|_| value(rng, depth + 1)).collect()),
        _ => {
            let entries =
                (0..rng.random_range(0..6)).map(|number| (format!("{}{number}", text(rng)), value(rng, depth + 1)));
            Value::Map(ValueMap::from_entries(entries.collect()).unwrap())
        }
    }
}

#[tokio::test]
async fn random_values_come_out_as_core_has_them() {
    let client = TestDatabase::create().await.connect().await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..20 {
        let values: Vec<_> = (0..50).map(|_| value(&mut rng, 0)).collect();
        assert_unpacked(&client, &values).await;
    }
}

#[tokio::test]
async fn every_width_comes_out() {
    let client = TestDatabase::create().await.connect().await;
    let powers = (0..63).flat_map(|bit| [(1_i64 << bit) - 1, 1 << bit, -(1 << bit) - 1, -(1 << bit)]);
    assert_unpacked(&client, &powers.chain([i64::MIN, i64::MAX, -32, -33]).map(Value::Int).collect::<Vec<_>>()).await;
    let floats = [
        0.0,
        5.0,
        -5.0,
        0.1,
        1e15,
        1e16,
        1e22,
        1e23,
        1e300,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        2.5e-310,
        1.5,
    ];
    assert_unpacked(&client, &floats.map(Value::Float)).await;
    let mut sized = Vec::new();
    for size in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
        sized.push(Value::Text("x".repeat(size)));
        sized.push(Value::Binary(vec![7; size]));
        sized.push(Value::Array(vec![Value::Null; size]));
        let entries = (0..size)
            .map(|number| (format!("{number}{}", "k".repeat(if number < 3 { size } else { 0 })), Value::Bool(true)));
        sized.push(Value::Map(ValueMap::from_entries(entries.collect()).unwrap()));
    }
    assert_unpacked(&client, &sized).await;
    let deep = (0..32).fold(Value::Int(1), |inner, level| match level % 2 {
        0 => Value::Array(vec![Value::Null, inner]),
        _ => Value::Map([("deeper".to_owned(), inner)].into()),
    });
    assert_unpacked(&client, &[deep]).await;
}

#[tokio::test]
async fn floats_of_32_bits_come_out_as_what_they_are() {
    let client = TestDatabase::create().await.connect().await;
    let floats = [0.0_f32, 1.5, -0.1, 16_777_216.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, 3.0e-40];
    let packed: Vec<_> = floats.iter().map(|float| [&[0xca][..], &float.to_be_bytes()].concat()).collect();
    for (text, float) in unpacked(&client, &packed).await.iter().zip(floats) {
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), Value::Float(f64::from(float)));
    }
}

#[tokio::test]
async fn a_setting_of_the_reader_costs_no_digits() {
    let client = TestDatabase::create().await.connect().await;
    client.batch_execute("SET extra_float_digits = -10").await.unwrap();
    assert_unpacked(&client, &[Value::Float(0.1 + 0.2), Value::Float(1.0 / 3.0)]).await;
}

#[tokio::test]
async fn no_bytes_are_null_and_damaged_ones_an_error() {
    let client = TestDatabase::create().await.connect().await;
    let sql = "SELECT tidelog.msgpack_to_jsonb($1)";
    assert!(client.query_one("SELECT tidelog.msgpack_to_jsonb('') IS NULL", &[]).await.unwrap().get::<_, bool>(0));
    let whole = packed(&Value::Map(
        [("key".to_owned(), Value::Array(vec![Value::Text("text".to_owned()), Value::Float(0.5)]))].into(),
    ));
    let cut = (1..whole.len()).map(|end| whole[..end].to_vec());
    let odd = [
        vec![0xc1],
        vec![0xd4, 1, 1],
        vec![0x81, 1, 1],
        vec![0xcf, 255, 255, 255, 255, 255, 255, 255, 255],
        vec![1, 1],
        vec![0xa1, 0xff],
    ];
    for bytes in cut.chain(odd) {
        assert!(client.query_one(sql, &[&bytes]).await.is_err(), "{bytes:?}");
    }
}

#[tokio::test]
async fn times_are_read_as_core_reads_them() {
    let client = TestDatabase::create().await.connect().await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let number = |rng: &mut StdRng, usual: u32, odd: u32| match rng.random_range(0..12) {
        0 => rng.random_range(0..=odd),
        1 => usual,
        _ => rng.random_range(0..=usual),
    };
    let mut texts = vec![
        "".to_owned(),
        "yesterday".to_owned(),
        "now".to_owned(),
        "2016-12-31T23:59:60Z".to_owned(),
        "2017-01-01T01:29:60.7+01:30".to_owned(),
        "2026-01-01T23:59:60.000Z".to_owned(),
        "2026-01-01T00:00:00.Z".to_owned(),
        "2026-01-01é00:00:00Z".to_owned(),
        "0001-01-01T00:00:00+01:00".to_owned(),
        "9999-12-31T23:59:59.9999-00:01".to_owned(),
    ];
    for _ in 0..4_000 {
        let year = [0, 1, 4, 1900, 1970, 2000, 2024, 2026, 9999].choose(&mut rng).unwrap();
        let zone = ["Z", "z", "+00:00", "-23:59", "+24:00", "+05:30", "-12:60", ""].choose(&mut rng).unwrap();
        let fraction = ["", ".1", ".129", ".1239999", ".000000000001"].choose(&mut rng).unwrap();
        let separator = ["T", "t", " ", "x"].choose(&mut rng).unwrap();
        texts.push(format!(
            "{year:04}-{:02}-{:02}{separator}{:02}:{:02}:{:02}{fraction}{zone}",
            number(&mut rng, 12, 13),
            number(&mut rng, 31, 32),
            number(&mut rng, 23, 24),
            number(&mut rng, 59, 60),
            number(&mut rng, 59, 61),
        ));
    }
    // In milliseconds, exactly.
    let sql = "SELECT (extract(epoch FROM tidelog.time_of(t)) * 1000)::bigint, tidelog.time_of_ms((extract(epoch FROM tidelog.time_of(t)) * 1000)::bigint) = tidelog.time_of(t)
        FROM unnest($1::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n";
    let rows = client.query(sql, &[&texts]).await.unwrap();
    let mut times = 0;
    for (row, text) in rows.iter().zip(&texts) {
        assert_eq!(row.get::<_, Option<i64>>(0).map(UnixMs), UnixMs::parse(text), "{text}");
        assert_ne!(row.get::<_, Option<bool>>(1), Some(false), "{text}");
        times += usize::from(row.get::<_, Option<i64>>(0).is_some());
    }
    assert!(times > 1_000, "most are times: {times}");
}
