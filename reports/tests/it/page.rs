//! The page of a run: what it says, and that nothing in a run can become markup or script.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads the machine's disk"
)]

use crate::kept;

use hogwash::page::Page;
use hogwash::past::PastRun;
use scenarios::explain::{EXPLANATION_VERSION, Explanation, Moment, NoReturn, WithoutFault};
use scenarios::store::Store;
use system::ImageStack;

fn html(run: &PastRun) -> String {
    Page::of(run, &ImageStack, "hogwash").html()
}

/// What a reader without style, script and pictures sees, a line each element.
fn text(html: &str, folder: &str) -> String {
    let body = html.split("<body>").nth(1).unwrap().split("<script").next().unwrap();
    let lines = body.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text.trim());
    let text: Vec<_> = lines.filter(|text| !text.is_empty()).collect();
    let text = text.join("\n").replace("&gt;", ">").replace("&#39;", "'").replace("&quot;", "\"");
    text.replace(folder, "STORE")
}

#[test]
fn a_page_tells_a_strangers_eye_what_was_lost() {
    let store = tempfile::tempdir().unwrap();
    let run = kept::keep(store.path(), &kept::plan(), kept::LOST);
    let html = html(&run);
    let text = text(&html, store.path().to_str().unwrap());
    // Laws say what they say in their own crate, and plans theirs.
    let before = text.split("What each law says").next().unwrap();
    let after = text.split("Ledger of requests").nth(1).unwrap().split("To run it again").next().unwrap();
    insta::assert_snapshot!(format!("{before}…\nLedger of requests{after}"));
}

#[test]
fn a_page_of_a_run_in_which_all_held_says_so() {
    let store = tempfile::tempdir().unwrap();
    let mut plan = kept::plan();
    plan.faults.clear();
    let steps = kept::LOST.lines().filter(|line| !line.contains("0.2"));
    let quiet = steps.filter(|line| {
        ["boot", "lead", "0.1", "healed", "drained", "end"].iter().any(|word| line.contains(word))
    });
    let quiet: Vec<_> = quiet.filter(|line| !line.starts_with("3s") && !line.starts_with("3.5s")).collect();
    let html = html(&kept::keep(store.path(), &plan, &quiet.join("\n")));
    assert!(html.contains("no fault was injected") && html.contains("Nothing is missing"), "{html}");
    assert!(!html.contains("Make smaller"), "there is nothing to make smaller");
}

#[test]
fn nothing_in_a_run_becomes_markup_or_script() {
    let store = tempfile::tempdir().unwrap();
    let hostile = "</script><script>alert('x')</script><img src=http://x.example/ onerror=alert(1)>";
    let history = kept::LOST.replace("a log of two commands is read", hostile);
    let mut run = kept::keep(store.path(), &kept::plan(), &history);
    run.capsule.scenario = hostile.to_owned();
    run.capsule.variant = Some(hostile.to_owned());
    run.capsule.violations[0].message = hostile.to_owned();
    run.capsule.violations[0].evidence = vec![hostile.to_owned()];
    run.plan.faults[0].name = hostile.to_owned();
    run.plan.faults[0].shared = Some(hostile.to_owned());
    run.plan.nodes[1].name = hostile.to_owned();
    run.plan.nodes[1].role = hostile.to_owned();
    run.plan.settings.insert(hostile.to_owned(), hostile.to_owned());
    let html = html(&run);
    assert!(!html.contains("<img") && !html.contains("<script>alert"), "a text became markup");
    assert_eq!(html.matches("<script").count(), 2, "the data and the page's own");
    assert_eq!(html.matches("</script").count(), 2);
    let data = html.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    assert!(!data.contains(['<', '>', '&']), "no letter of the data can end its element");
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["scenario"], hostile, "and the data are whole");
}

#[test]
fn a_page_asks_no_network_for_anything() {
    let store = tempfile::tempdir().unwrap();
    let html = html(&kept::keep(store.path(), &kept::plan(), kept::LOST));
    for word in ["http:", "https:", "src=", "@import", "fetch(", "<link rel=\"stylesheet"] {
        let found = html.replace("http://www.w3.org/2000/svg", "").contains(word);
        assert!(!found, "the page says {word}");
    }
}

#[test]
fn a_page_of_a_real_run_is_whole_and_small() {
    let store = tempfile::tempdir().unwrap();
    let run = kept::run(store.path(), &kept::plan());
    let html = html(&run);
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    for part in [
        "class=\"lane-name\"",
        "class=\"fault\"",
        "class=\"arrow\"",
        "class=\"ledger\"",
        "id=\"reproduce\"",
        "class=\"curve received\"",
    ] {
        assert!(html.contains(part), "no {part}");
    }
}

#[test]
fn a_damaged_history_is_refused_with_the_way_out() {
    let store = tempfile::tempdir().unwrap();
    let run = kept::keep(store.path(), &kept::plan(), kept::LOST);
    let bytes = run.history();
    std::fs::write(run.folder.join("history.bin"), &bytes[..bytes.len() - 1]).unwrap();
    let error =
        PastRun::find(run.folder.to_str().unwrap(), &Store::new(store.path()), &ImageStack).err().unwrap();
    assert!(format!("{error:#}").contains("is damaged: `hogwash replay"), "{error:#}");
}

#[test]
fn a_page_says_why_its_run_fails_where_somebody_asked() {
    let store = tempfile::tempdir().unwrap();
    let mut run = kept::keep(store.path(), &kept::plan(), kept::LOST);
    assert!(!html(&run).contains("id=\"why\""), "nobody asked yet");
    let moment = |at_ns, saved| Moment { at_ns, saved, of: 8 };
    run.explanation = Some(Explanation {
        v: EXPLANATION_VERSION,
        invariant: "delivery".to_owned(),
        fingerprint: run.capsule.violations[0].fingerprint.clone(),
        faults: vec![WithoutFault {
            name: "power-loss-1".to_owned(),
            what: "queue-1 loses power".to_owned(),
            passes: true,
            passes_if_not_shared: None,
        }],
        safeguards: Vec::new(),
        no_return: NoReturn {
            at_ns: Some(1_500_000_000),
            tried: vec![moment(1_500_000_000, 3), moment(2_000_000_000, 0)],
        },
    });
    let page = html(&run);
    let why = page.split("id=\"why\"").nth(1).unwrap().split("</section>").next().unwrap();
    for words in
        ["Take away this fault and delivery holds.", "queue-1 loses power", "3 of 8", "point of no return"]
    {
        assert!(why.contains(words), "{words}: {why}");
    }
    assert!(page.contains("class=\"no-return\""), "and the moment is in the picture");
}
