//! A validator for the JSON schemas in docs/schema: as much of the language as they use. A word that it does
//! not know is an error, so that no rule is passed over.

use serde_json::Value;

/// All that is wrong with a document.
pub fn errors(schema: &Value, document: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    check(schema, schema, document, "", &mut errors);
    errors
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
    for (word, rule) in schema.as_object().unwrap() {
        let wrong = match word.as_str() {
            "$schema" | "$id" | "title" | "description" | "$defs" | "properties" => None,
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                check(root, root.pointer(pointer).unwrap(), value, at, errors);
                None
            }
            "type" => (!is_of(rule, value)).then(|| format!("is not of type {rule}")),
            "const" => (value != rule).then(|| format!("is not {rule}")),
            "enum" => (!rule.as_array().unwrap().contains(value))
                .then(|| format!("{value} is none of {rule}")),
            "minimum" => {
                let is_less = value
                    .as_f64()
                    .is_some_and(|number| number < rule.as_f64().unwrap());
                is_less.then(|| format!("is less than {rule}"))
            }
            "minItems" => {
                let is_short = value.as_array().is_some_and(|list| {
                    list.len() < usize::try_from(rule.as_u64().unwrap()).unwrap()
                });
                is_short.then(|| format!("has fewer than {rule} items"))
            }
            "required" => missing(rule, value),
            "additionalProperties" => {
                assert_eq!(rule, false, "{at}");
                additional(schema, value)
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{at}/{index}"), errors);
                }
                None
            }
            other => panic!("the validator does not know {other:?}"),
        };
        errors.extend(wrong.map(|wrong| format!("{at}: {wrong}")));
    }
    for (name, rule) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(property) = value.get(name) {
            check(root, rule, property, &format!("{at}/{name}"), errors);
        }
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("the validator does not know the type {other:?}"),
    }
}

fn missing(names: &Value, value: &Value) -> Option<String> {
    let missing = names
        .as_array()
        .unwrap()
        .iter()
        .find(|name| value.get(name.as_str().unwrap()).is_none());
    missing.map(|name| format!("has no {name}"))
}

fn additional(schema: &Value, value: &Value) -> Option<String> {
    let known = schema["properties"].as_object().unwrap();
    let unknown = value
        .as_object()?
        .keys()
        .find(|name| !known.contains_key(*name));
    unknown.map(|name| format!("has the unknown property {name:?}"))
}
