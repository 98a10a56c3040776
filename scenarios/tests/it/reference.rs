//! The reference of scenario files: what editors and people are told is what the reader takes.

use crate::support::Named;
use hogwash_scenarios as scenarios;
use scenarios::reference;

#[test]
fn every_key_is_explained() {
    insta::assert_snapshot!(reference::explain(&Named));
}

#[test]
fn every_example_of_a_kind_of_fault_keeps_to_the_schema_and_is_read() {
    let schema = reference::schema(&Named);
    let harms = &schema["properties"]["fault"]["items"]["properties"]["inject"]["anyOf"][0]["properties"];
    for kind in scenarios::kinds::KINDS {
        let fields = &harms[kind.word]["anyOf"][1]["properties"];
        for field in kind.fields {
            assert_eq!(fields[field.name]["examples"][0], field.example, "{}", kind.word);
        }
    }
    assert_eq!(harms.as_object().unwrap().len(), scenarios::kinds::KINDS.len());
}
