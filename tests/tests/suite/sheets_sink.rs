//! sheets-sink against the stand-in for Google Sheets: through quotas, ends of tokens, lost answers and kills.

use std::time::Duration;

use e2e::{Broker, Fault, Finished, Host, SheetsOptions, SheetsServer, World, eventually};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

const ID: &str = "1A-stand_in";

/// A sink's world: a broker with the topic `rows`, and the stand-in with one spreadsheet.
struct Setting {
    world: World,
    broker: Broker,
    server: SheetsServer,
}

impl Setting {
    fn new() -> Self {
        Self::with(SheetsOptions::default())
    }

    fn with(options: SheetsOptions) -> Self {
        let world = World::new();
        let broker = Broker::start(&world);
        let server = SheetsServer::start_with(options);
        server.create(ID, &["Sheet1", "Orders"]);
        let _ = world.run(&format!("topic create rows --cluster {}", broker.address())).success();
        world.file("secrets.txt", server.secrets());
        Self { world, broker, server }
    }

    /// `host run` of the sink until all records that are there are dealt with. `section` is added to the
    /// account and the addresses, `rest` to the end of the file.
    fn sink(&self, section: &str, rest: &str) -> Host {
        let text = format!(
            "apiVersion: 0.1.0\n\
             meta:\n  name: to-sheets\n  type: sheets-sink\n  version: 0.1.0\n  topic: rows\n\
             \x20 secrets: [{{name: GOOGLE_PRIVATE_KEY}}, {{name: GOOGLE_CLIENT_EMAIL}}, {{name: GOOGLE_TOKEN_URI}}]\n\
             \x20 consumer: {{offset: {{strategy: auto, start: beginning}}}}\n\
             sheet:\n\
             \x20 google_private_key: ${{{{ secrets.GOOGLE_PRIVATE_KEY }}}}\n\
             \x20 google_client_email: ${{{{ secrets.GOOGLE_CLIENT_EMAIL }}}}\n\
             \x20 google_token_url: ${{{{ secrets.GOOGLE_TOKEN_URI }}}}\n\
             \x20 endpoint: {}\n{section}{rest}",
            self.server.url()
        );
        let config = self.world.file("sheets.yaml", text);
        let host = self.world.host(["run", "-d", "--cluster", self.broker.address(), "--config"]).arg(config);
        host.arg("--secrets").arg(self.world.path("secrets.txt"))
    }

    fn run(&self, section: &str, rest: &str) -> Finished {
        self.sink(section, rest).finish(LIMIT)
    }

    fn produce(&self, records: &[Value]) {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        let file = self.world.file("lines.txt", lines);
        let run = self.world.host(["produce", "rows", "--cluster", self.broker.address()]).stdin(&file);
        let _ = run.finish(LIMIT).success();
    }

    fn orders(&self) -> Vec<Vec<Value>> {
        self.server.values(ID, "Orders")
    }
}

/// Orders with these columns, in the sheet of that name.
fn orders(more: &str) -> String {
    format!(
        "  spreadsheet-id: {ID}\n  sheet: Orders\n  columns: [{{header: Id, path: /id}}, {{header: Note, path: /note}}]\n{more}"
    )
}

#[test]
fn a_hundred_thousand_records_arrive_exactly_in_few_requests() {
    let setting = Setting::new();
    let source = "apiVersion: 0.1.0\nmeta: {name: source, type: test-source, version: 0.1.0, topic: rows}\n\
                  test: {count: 100000, interval: 0s, template: '{\"id\":{{n}},\"note\":\"note no. {{n}}, about a hundred bytes of text with ümläüts\"}'}\n";
    let source = setting.world.file("source.yaml", source).display().to_string();
    let line = format!("run --config {source} --cluster {}", setting.broker.address());
    let _ = setting.world.run(&line).success();

    let run = setting.run(&orders(""), "").success();
    let rows = setting.orders();
    assert_eq!(rows.len(), 100_001, "{}", run.log);
    assert_eq!(rows[0], [json!("Id"), json!("Note")]);
    for (n, row) in rows[1..].iter().enumerate() {
        assert_eq!(*row, [json!(n), json!(format!("note no. {n}, about a hundred bytes of text with ümläüts"))]);
    }
    let counts = setting.server.counts();
    assert!(counts.total() <= 50, "{counts:?}");
    assert_eq!(counts.throttled, 0);

    let again = setting.run(&orders(""), "").success();
    assert_eq!(setting.orders().len(), 100_001, "what is committed is not written again:\n{}", again.log);
}

#[test]
fn the_known_connector_s_files_and_records_work_as_they_stand() {
    let setting = Setting::new();
    let record = |range: &str, values: Value| json!({"range": range, "major_dimension": "ROWS", "values": values, "spreadsheet_id": ID});
    // The sample configuration of the tutorial, word for word.
    let sample = "\
apiVersion: 0.1.0
meta:
  version: 0.1.0
  name: my-sheet-connector-test-connector
  type: sheet-connector-sink
  topic: rows
  secrets:
    - name: GOOGLE_PRIVATE_KEY
    - name: GOOGLE_CLIENT_EMAIL
    - name: GOOGLE_TOKEN_URI
sheet:
  google_private_key: ${{ secrets.GOOGLE_PRIVATE_KEY }}
  google_client_email: ${{ secrets.GOOGLE_CLIENT_EMAIL }}
  google_token_url: ${{ secrets.GOOGLE_TOKEN_URI }}
";
    let config = setting.world.file("sample-config.yaml", sample);
    let arguments = ["run", "--connector", "sheets-sink", "--cluster", setting.broker.address(), "--config"];
    let host = setting.world.host(arguments).arg(config).arg("--secrets").arg(setting.world.path("secrets.txt"));
    let running = host.arg("--set").arg(format!("endpoint={}", setting.server.url())).start();
    // It says nothing of the start: a new consumer begins at the end.
    running.wait_for_log("topic ready", LIMIT);
    setting.produce(&[
        record("A1", json!([["A1 value", "A2 value", "A3 value"]])),
        record("Orders!B2", json!([[1, true], ["007", "=B2"]])),
        record("A1", json!([["next", null, 2.5]])),
    ]);
    eventually("three records", LIMIT, || setting.server.values(ID, "Sheet1").len() == 2);
    running.terminate();
    let _ = running.wait(LIMIT).success();
    let first =
        [vec![json!("A1 value"), json!("A2 value"), json!("A3 value")], vec![json!("next"), Value::Null, json!(2.5)]];
    assert_eq!(setting.server.values(ID, "Sheet1"), first);
    let cells = setting.orders();
    assert_eq!(cells[1], [Value::Null, json!(1), json!(true)]);
    assert_eq!(cells[2], [Value::Null, json!(7.0), json!("=B2")], "as if typed in");
    assert_eq!(setting.server.counts().total(), 4, "a token, and a request for each run of a range");
}

#[test]
fn tokens_end_in_the_middle_and_nobody_notices() {
    let options = SheetsOptions { token_life: Duration::from_secs(2), ..SheetsOptions::default() };
    let setting = Setting::with(options);
    let records: Vec<Value> = (0..12).map(|n| json!({"id": n})).collect();
    setting.produce(&records);
    // One record at a time, and three a second.
    let rest = "host: {batch: {max-records: 1}, rate-limit: {records-per-second: 3}}\n";
    let running = setting.sink(&orders(""), rest).start();
    running.wait_for_log("topic ready", LIMIT);
    std::thread::sleep(Duration::from_millis(2500));
    setting.server.revoke_tokens();
    let run = running.wait(LIMIT).success();
    let ids: Vec<Value> = setting.orders()[1..].iter().map(|row| row[0].clone()).collect();
    assert_eq!(ids, (0..12).map(Value::from).collect::<Vec<_>>(), "{}", run.log);
    assert!(setting.server.counts().tokens >= 3, "{:?}", setting.server.counts());
    assert!(!run.log.contains("trying again"), "{}", run.log);
}

#[test]
fn a_used_up_quota_slows_it_down_and_loses_nothing() {
    let options = SheetsOptions { quota: 6, minute: Duration::from_secs(4), ..SheetsOptions::default() };
    let setting = Setting::with(options);
    let records: Vec<Value> = (0..9).map(|n| json!({"id": n})).collect();
    setting.produce(&records);
    let run = setting.run(&orders(""), "host: {batch: {max-records: 1}}\n").success();
    let ids: Vec<Value> = setting.orders()[1..].iter().map(|row| row[0].clone()).collect();
    assert_eq!(ids, (0..9).map(Value::from).collect::<Vec<_>>(), "{}", run.log);
    assert!(setting.server.counts().throttled >= 1, "{:?}", setting.server.counts());
    assert!(run.log.contains("Quota exceeded"), "{}", run.log);
    assert!(run.log.contains("throttled"), "{}", run.log);
}

#[test]
fn a_spreadsheet_that_is_not_shared_names_the_account_and_goes_on_once_it_is() {
    let setting = Setting::new();
    setting.produce(&[json!({"id": 1}), json!({"id": 2})]);
    setting.server.share(ID, false);
    let refused = setting.run(&orders(""), "");
    assert_eq!(refused.code, Some(78), "{}", refused.log);
    let email = &setting.server.account().email;
    let words = format!("share the spreadsheet with {email}, as an editor");
    assert!(refused.log.contains(&words), "{}", refused.log);
    setting.server.share(ID, true);
    let _ = setting.run(&orders(""), "").success();
    assert_eq!(setting.orders().len(), 3);
}

#[test]
fn a_spreadsheet_or_sheet_that_is_not_there_is_named() {
    let setting = Setting::new();
    let gone = setting.run(&orders("").replace(ID, "1B-gone"), "");
    assert_eq!(gone.code, Some(78), "{}", gone.log);
    assert!(gone.log.contains("Google knows no spreadsheet 1B-gone"), "{}", gone.log);
    let gone = setting.run(&orders("").replace("Orders", "Ordres"), "");
    assert_eq!(gone.code, Some(78), "{}", gone.log);
    assert!(gone.log.contains("no sheet `Ordres`; it has `Sheet1`, `Orders`"), "{}", gone.log);
}

#[test]
fn a_wrong_key_says_what_to_check_and_shows_nothing_of_it() {
    let setting = Setting::new();
    let other = e2e::ServiceAccount::new("other@stand-in.example").private_key();
    let right = setting.server.secrets();
    let right_key = right.lines().next().expect("the key's line");
    for (line, words) in [
        (format!("GOOGLE_PRIVATE_KEY=\"{}\"", other.replace('\n', "\\n")), "Invalid JWT Signature"),
        (format!("GOOGLE_PRIVATE_KEY=\"{}\"", other.replace("-----END PRIVATE KEY-----\n", "")), "its end is missing"),
        (right_key.replacen("MII", "NII", 1), "not an RSA key"),
        ("GOOGLE_PRIVATE_KEY={\"private_key\": \"x\"}".to_owned(), "probably the whole key file"),
    ] {
        setting.world.file("secrets.txt", right.replace(right_key, &line));
        let refused = setting.run(&orders(""), "");
        assert_eq!(refused.code, Some(78), "{words}\n{}", refused.log);
        assert!(refused.log.contains(words) && refused.log.contains("google_private_key"), "{words}\n{}", refused.log);
        for secret in other.lines().chain(right_key.split("\\n")).filter(|part| part.len() > 40) {
            assert!(!refused.log.contains(secret), "a part of a key is in the log:\n{}", refused.log);
        }
    }
    setting.world.file("secrets.txt", right.replace(&setting.server.account().email, "nobody@stand-in.example"));
    let refused = setting.run(&orders(""), "");
    assert_eq!(refused.code, Some(78), "{}", refused.log);
    assert!(refused.log.contains("no token to nobody@stand-in.example"), "{}", refused.log);
}

#[test]
fn unusable_records_become_dead_letters_and_the_rest_is_written() {
    let setting = Setting::new();
    let mut records: Vec<Value> = (0..50).map(|n| json!({"id": n, "note": "fine"})).collect();
    records[7] = json!({"other": 1});
    records[23] = json!({"id": 23, "note": "x".repeat(50_001)});
    records[31] = json!("no object");
    setting.produce(&records);
    let rest = "host: {on-error: dead-letter, dead-letter-topic: lost}\n";
    let _ = setting.run(&orders(""), rest).success();
    let ids: Vec<i64> = setting.orders()[1..].iter().map(|row| row[0].as_i64().expect("a number")).collect();
    assert_eq!(ids, (0..50).filter(|n| ![7, 23, 31].contains(n)).collect::<Vec<_>>());
    let line = format!("consume -B -d lost --cluster {}", setting.broker.address());
    let lost = setting.world.run(&line).success().out;
    let letters: Vec<Value> = lost.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let offsets: Vec<&Value> = letters.iter().map(|letter| &letter["position"]["offset"]).collect();
    assert_eq!(offsets, [7, 23, 31], "{lost}");
    let reasons: Vec<&str> = letters.iter().map(|letter| letter["reason"].as_str().expect("a reason")).collect();
    for (reason, words) in reasons.iter().zip(["nothing for any of the columns", "a text of 50001", "nothing for any"])
    {
        assert!(reason.contains(words), "{reasons:?}");
    }
}

#[test]
fn rows_are_updated_by_their_key() {
    let setting = Setting::new();
    // Somebody's sheet: other columns, another order, rows of their own.
    let theirs = json!([["Remark", "Note", "Id"], ["keep", "old", "b"], ["mine", "", ""], ["keep too", "old", 7]]);
    setting.server.write(ID, "Orders", &theirs);
    let section = orders("  mode: upsert\n  key-column: Id\n");
    setting.produce(&[
        json!({"id": "a", "note": 1}),
        json!({"id": "b", "note": 2}),
        json!({"id": "7", "note": 3}),
        json!({"id": "a", "note": 4}),
    ]);
    let _ = setting.run(&section, "").success();
    setting.produce(&[json!({"id": "a", "note": 5}), json!({"id": "c"})]);
    let _ = setting.run(&section, "").success();
    assert_eq!(
        json!(setting.orders()),
        json!([
            ["Remark", "Note", "Id"],
            ["keep", 2, "b"],
            ["mine"],
            ["keep too", 3, "7"],
            [null, 5, "a"],
            [null, null, "c"],
        ])
    );
}

#[test]
fn a_lost_answer_repeats_rows_when_appending_and_nothing_when_updating_by_key() {
    for (more, expected) in [("", 7), ("  mode: upsert\n  key-column: Id\n", 4)] {
        let setting = Setting::new();
        setting.produce(&[json!({"id": 1}), json!({"id": 2}), json!({"id": 3})]);
        setting.server.write(ID, "Orders", &json!([["Id", "Note"]]));
        // Opening reads the sheets and the header; updating by key reads the keys too.
        let nothing = Fault::Slow(Duration::ZERO);
        let before = if more.is_empty() { 2 } else { 3 };
        setting.server.fail_next(vec![nothing; before].into_iter().chain([Fault::LoseAnswer]));
        let run = setting.run(&orders(more), "host: {retry: {initial: 20ms}}\n").success();
        assert_eq!(setting.orders().len(), expected, "{more}\n{}", run.log);
        assert!(run.log.contains("sink failed, trying again"), "{}", run.log);
    }
}

#[test]
fn positions_make_it_exact_through_faults_and_kills() {
    let setting = Setting::with(SheetsOptions { quota: 100_000, ..SheetsOptions::default() });
    let records: Vec<Value> = (0..3000).map(|n| json!({"id": n})).collect();
    setting.produce(&records);
    let section = format!(
        "  spreadsheet-id: {ID}\n  sheet: Orders\n  mode: upsert\n  key-column: At\n\
         \x20 columns: [{{header: At, from: position}}, {{header: Id, path: /id}}]\n"
    );
    let rest = "host: {batch: {max-records: 50}, retry: {initial: 10ms, max-delay: 50ms}}\n";
    let faults = [Fault::Status(500), Fault::Status(503), Fault::HangUp, Fault::LoseAnswer];
    setting.server.fail_by_chance(20, &faults, 7);
    for share in 1..4 {
        let mut run = setting.sink(&section, rest).start();
        eventually("some rows", LIMIT, || setting.orders().len() > share * 500);
        assert!(run.is_running(), "too fast to be killed:\n{}", run.log());
        run.kill();
    }
    let run = setting.run(&section, rest).success();
    let rows = setting.orders();
    let expected: Vec<Vec<Value>> = (0..3000).map(|n| vec![json!(format!("rows/0/{n}/0")), json!(n)]).collect();
    assert!(rows[1..] == expected, "{} rows\n{}", rows.len(), run.log);
    assert!(setting.server.counts().faults > 10, "{:?}", setting.server.counts());
}

#[test]
fn check_tries_everything_short_of_writing() {
    let setting = Setting::new();
    let _ = setting.sink(&orders(""), "");
    let check = || {
        let config = setting.world.path("sheets.yaml");
        let host = setting.world.host(["check", "--config"]).arg(config);
        host.arg("--secrets").arg(setting.world.path("secrets.txt")).finish(LIMIT)
    };
    let passed = check().success();
    assert!(passed.out.contains("Google gives a token") && passed.out.contains("spreadsheet 1A-stand_in fits"));
    assert!(setting.orders().is_empty());
    setting.server.share(ID, false);
    let refused = check();
    assert_ne!(refused.code, Some(0));
    assert!(refused.out.contains("share the spreadsheet with"), "{}", refused.out);
}
