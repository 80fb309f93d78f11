//! The document, and as much of JSON Schema as it uses. A keyword that is not known here is an error.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The document.
pub(crate) struct Document(Value);

/// One operation.
pub(crate) struct Operation<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) value: &'a Value,
}

/// Names of an object's members.
pub(crate) fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default()
}

impl Document {
    pub(crate) fn load() -> Self {
        let text = include_str!("../../src/routes/openapi.json");
        let document: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(document["openapi"], "3.1.0");
        Self(document)
    }

    pub(crate) fn info(&self) -> &Value {
        &self.0["info"]
    }

    pub(crate) fn servers(&self) -> &[Value] {
        self.0["servers"].as_array().unwrap()
    }

    /// Names of the tags that are declared.
    pub(crate) fn tags(&self) -> BTreeSet<&str> {
        self.0["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect()
    }

    pub(crate) fn components(&self) -> &Value {
        &self.0["components"]
    }

    pub(crate) fn schema(&self, name: &str) -> &Value {
        let schema = &self.components()["schemas"][name];
        assert!(schema.is_object(), "no schema {name}");
        schema
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        self.0["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(|(method, value)| Operation { method, path, value })
        })
    }

    /// Every answer, those of paths that are not described among them.
    pub(crate) fn responses(&self) -> Vec<&Value> {
        let own = self.components()["responses"].as_object().unwrap().values();
        let of_operations =
            self.operations().flat_map(|op| op.value["responses"].as_object().unwrap().values());
        own.chain(of_operations).map(|response| self.resolve(response)).collect()
    }

    /// Status and code of every problem that an answer may hold: the status is the example's.
    pub(crate) fn problem_codes(&self, response: &Value) -> BTreeSet<(u64, String)> {
        let Some(content) = response.pointer("/content/application~1problem+json") else {
            return BTreeSet::new();
        };
        let status = content["example"]["status"].as_u64().unwrap();
        let codes = content.pointer("/schema/allOf/1/properties/code/enum").unwrap().as_array().unwrap();
        codes.iter().map(|code| (status, code.as_str().unwrap().to_owned())).collect()
    }

    /// What a `$ref` names; nothing for one that leads nowhere.
    pub(crate) fn resolve_path(&self, target: &str) -> &Value {
        target.strip_prefix('#').and_then(|pointer| self.0.pointer(pointer)).unwrap_or(&Value::Null)
    }

    pub(crate) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref") {
            Some(target) => self.resolve_path(target.as_str().unwrap()),
            None => value,
        }
    }

    /// Shows every object of the document with its place.
    pub(crate) fn walk(&self, look: &mut dyn FnMut(&str, &Map<String, Value>)) {
        walk(&self.0, "#", look);
    }

    /// Whether a value is one of the schema.
    pub(crate) fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let schema = self.resolve(schema);
        let rules = schema.as_object().ok_or("a schema that is no object")?;
        for (rule, with) in rules {
            self.rule(rules, rule, with, value).map_err(|e| format!("{rule}: {e}"))?;
        }
        Ok(())
    }

    fn rule(
        &self,
        rules: &Map<String, Value>,
        rule: &str,
        with: &Value,
        value: &Value,
    ) -> Result<(), String> {
        let wrong = || Err(format!("{value} is not {with}"));
        let holds = match rule {
            "default" | "description" | "title" => true,
            "additionalProperties" => return self.others(rules, with, value),
            "allOf" => return with.as_array().unwrap().iter().try_for_each(|one| self.check(one, value)),
            "const" => value == with,
            "enum" => with.as_array().unwrap().contains(value),
            "format" => is_of_format(with.as_str().unwrap(), value),
            "items" => return elements(value).iter().try_for_each(|one| self.check(with, one)),
            "maxItems" => elements(value).len() <= number(with),
            "maxLength" => length(value) <= number(with),
            "maximum" => value.as_u64() <= with.as_u64(),
            "minItems" => elements(value).len() >= number(with),
            "minLength" => length(value) >= number(with),
            "minimum" => value.as_u64() >= with.as_u64(),
            "oneOf" => {
                let fitting = with.as_array().unwrap().iter().filter(|one| self.check(one, value).is_ok());
                fitting.count() == 1
            }
            "pattern" => matches(with.as_str().unwrap(), value.as_str().unwrap()),
            "properties" => {
                return with.as_object().unwrap().iter().try_for_each(|(name, one)| {
                    value.get(name).map_or(Ok(()), |v| self.check(one, v).map_err(|e| format!("{name}: {e}")))
                });
            }
            "propertyNames" => {
                return keys(value).into_iter().try_for_each(|name| self.check(with, &Value::from(name)));
            }
            "required" => {
                with.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "type" => type_of(value) == with.as_str().unwrap(),
            _ => return Err("a keyword that this test does not know".to_owned()),
        };
        if holds { Ok(()) } else { wrong() }
    }

    /// Members that `properties` does not name.
    fn others(&self, rules: &Map<String, Value>, with: &Value, value: &Value) -> Result<(), String> {
        let named = rules.get("properties").map(keys).unwrap_or_default();
        let others = value.as_object().unwrap().iter().filter(|(name, _)| !named.contains(*name));
        for (name, one) in others {
            if *with == Value::Bool(false) {
                return Err(format!("{name} is not known"));
            }
            self.check(with, one)?;
        }
        Ok(())
    }
}

fn walk(value: &Value, at: &str, look: &mut dyn FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            look(at, object);
            object.iter().for_each(|(key, inner)| walk(inner, &format!("{at}/{key}"), look));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, inner)| walk(inner, &format!("{at}/{n}"), look));
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
    }
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn length(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Object(_) => "object",
        Value::String(_) => "string",
    }
}

fn is_of_format(format: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match format {
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "int32" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        "int64" => value.as_i64().is_some(),
        "uri" => text.contains(':'),
        _ => false,
    }
}

/// `^[set]{n}$` or `^[set]{low,high}$`, the set of ASCII characters and ranges: all that the document needs.
fn matches(pattern: &str, text: &str) -> bool {
    let inner = pattern.strip_prefix("^[").and_then(|p| p.strip_suffix("}$")).expect("a known pattern");
    let (set, counts) = inner.rsplit_once("]{").expect("a known pattern");
    let (low, high) = counts.split_once(',').unwrap_or((counts, counts));
    let mut allowed = BTreeSet::new();
    let mut set = set.as_bytes();
    while let [first, rest @ ..] = set {
        if let [b'-', last, after @ ..] = rest {
            allowed.extend(*first..=*last);
            set = after;
        } else {
            allowed.insert(*first);
            set = rest;
        }
    }
    (low.parse().unwrap()..=high.parse().unwrap()).contains(&text.len())
        && text.bytes().all(|b| allowed.contains(&b))
}
