//! `hogwash list`: scenarios and variants, settings, laws.

use crate::cli::ListArgs;
use crate::exit::Exit;
use crate::program::Program;
use crate::terminal::{Paint, coloured};
use anyhow::Result;
use invariants::LAWS;
use scenarios::{library, reference};
use serde_json::json;
use sim::stack::SettingKind;

pub(crate) fn list(program: &Program, arguments: &ListArgs) -> Result<Exit> {
    if arguments.schema {
        println!("{:#}", reference::schema(program.stack.as_ref()));
        return Ok(Exit::Success);
    }
    let scenarios = library::all(program.stack.as_ref())?;
    if program.json() {
        for scenario in &scenarios {
            let variants: Vec<_> = scenario.variants.iter().map(|variant| variant.name.as_str()).collect();
            println!(
                "{}",
                json!({"v": 1, "type": "scenario", "scenario": scenario.name, "why": scenario.why, "variants": variants})
            );
        }
        for law in LAWS {
            println!(
                "{}",
                json!({"v": 1, "type": "law", "law": law.name, "sentence": law.sentence, "survives": law.promise(),
                    "needs": law.needs})
            );
        }
        for setting in program.stack.settings() {
            println!(
                "{}",
                json!({"v": 1, "type": "setting", "setting": setting.name, "why": setting.why, "default": setting.default,
                    "kind": kind(setting.kind)})
            );
        }
        return Ok(Exit::Success);
    }
    let paint = Paint(coloured(program.common.color, &std::io::stdout()));
    println!("{}", paint.strong("Scenarios"));
    for scenario in &scenarios {
        println!("  {}\n      {}", paint.strong(&scenario.name), scenario.why.trim());
        for variant in &scenario.variants {
            println!("    --variant {}\n      {}", paint.strong(&variant.name), variant.why.trim());
        }
    }
    println!("{}", paint.strong("Laws"));
    for law in LAWS {
        println!("  {:<12} {}; survives {}", law.name, law.sentence, law.promise());
    }
    println!("{}", paint.strong("Settings"));
    for setting in program.stack.settings() {
        println!("  {} = {} ({})\n      {}", setting.name, setting.default, kind(setting.kind), setting.why);
    }
    Ok(Exit::Success)
}

fn kind(kind: SettingKind) -> String {
    match kind {
        SettingKind::Flag => "true or false".to_owned(),
        SettingKind::Choice(words) => words.join(" or "),
        SettingKind::Duration => "a duration".to_owned(),
        SettingKind::Number { least, most } => format!("{least} to {most}"),
        SettingKind::Text => "a text".to_owned(),
    }
}
