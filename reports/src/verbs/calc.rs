//! `hogwash calc`: any model of the review by itself.

use crate::cli::CalcArgs;
use crate::exit::Exit;
use crate::program::Program;
use crate::review::calc::{self, AnswerField, AnswerValue, CalcAnswer, Model};
use crate::review::figures::figure;
use crate::terminal::{Paint, coloured};
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) fn calc(program: &Program, arguments: &CalcArgs) -> Result<Exit> {
    let paint = Paint(coloured(program.common.color, &std::io::stdout()));
    let Some(name) = &arguments.model else {
        calc::models().for_each(|model| describe(program, model, paint));
        return Ok(Exit::Success);
    };
    let model = calc::model(name)?;
    if arguments.arguments.is_empty() && model.arguments.iter().any(|argument| argument.default.is_none()) {
        describe(program, model, paint);
        return Ok(Exit::Success);
    }
    let mut given = BTreeMap::new();
    for (key, value) in &arguments.arguments {
        anyhow::ensure!(
            given.insert(key.clone(), value.clone()).is_none(),
            "`{key}` is given twice: leave one out"
        );
    }
    let answer = calc::calc(name, &given)?;
    if program.json() {
        println!("{}", answered(&answer));
    } else {
        show(&answer, paint);
    }
    Ok(Exit::Success)
}

/// What a model takes and where it comes from.
fn describe(program: &Program, model: &Model, paint: Paint) {
    if program.json() {
        let line = json!({"v": 1, "type": "model", "model": model.name, "summary": model.summary,
            "source": model.source, "arguments": model.arguments, "example": model.example});
        println!("{line}");
        return;
    }
    println!("{}: {}", paint.strong(model.name), model.summary);
    println!("    source: {}", model.source);
    let wide = model.arguments.iter().map(|argument| argument.name.len()).max().unwrap_or(0);
    for argument in model.arguments {
        let unit = match argument.unit {
            "" | "1" => "",
            "any" => ", in any unit",
            unit => &format!(", in {unit}"),
        };
        let default = argument.default.map(|default| format!("; {default} unless given")).unwrap_or_default();
        println!("    {:<wide$}  {} ({}{unit}{default})", argument.name, argument.meaning, argument.range);
    }
    println!("    hogwash calc {} {}", model.name, model.example);
}

fn show(answer: &CalcAnswer, paint: Paint) {
    let wide = answer.fields.iter().map(|field| field.name.chars().count()).max().unwrap_or(0);
    for field in &answer.fields {
        println!("{:<wide$}  {}", field.name, paint.strong(&value(field)));
    }
    let given: Vec<_> = answer.arguments.iter().map(|(key, text)| format!("{key}={text}")).collect();
    println!("for {} {}", answer.model, given.join(" "));
    println!("source: {}", answer.source);
}

fn value(field: &AnswerField) -> String {
    let number = match &field.value {
        AnswerValue::Number(number) => figure(*number),
        AnswerValue::Below(bound) => format!("below {}", figure(*bound)),
        AnswerValue::AtLeast(bound) => format!("at least {}", figure(*bound)),
        AnswerValue::Count(count) => count.to_string(),
        AnswerValue::Words(words) => words.clone(),
    };
    if matches!(field.unit, "" | "1" | "any") { number } else { format!("{number} {}", field.unit) }
}

fn answered(answer: &CalcAnswer) -> serde_json::Value {
    json!({"v": 1, "type": "answered", "model": answer.model, "source": answer.source,
        "arguments": answer.arguments, "fields": answer.fields})
}
