//! What records may be, as JSON Schema: for the OpenAPI document.

use super::{RecordsInput, column::Column};
use crate::protocol::data::Datatype;
use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};

impl RecordsInput {
    /// One record, a list of them, or columns.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let columns = &self.step.columns;
        let required: Vec<&str> =
            columns.iter().filter(|column| !column.may_be_missing()).map(|column| column.name.as_str()).collect();
        let object = |cell: &dyn Fn(&Column) -> Value| {
            let properties: Map<String, Value> = columns.iter().map(|one| (one.name.clone(), cell(one))).collect();
            json!({
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": self.step.ignore_unknown,
            })
        };
        let record = object(&Column::schema);
        let table = object(&|column| json!({"type": "array", "minItems": 1, "items": column.schema()}));
        json_schema!({"anyOf": [record, {"type": "array", "minItems": 1, "items": record}, table]})
    }
}

impl Column {
    /// What a cell of it may be.
    fn schema(&self) -> Value {
        let categories = self.categories();
        let mut forms = match self.datatype {
            _ if !categories.is_empty() && !self.takes_unknown() => vec![json!({"enum": categories})],
            Datatype::Bytes => vec![json!({"type": "string"})],
            _ if !categories.is_empty() => vec![json!({"type": ["string", "number", "boolean"]})],
            _ => vec![json!({"type": ["number", "boolean"]})],
        };
        if self.may_be_missing() {
            forms.push(json!({"type": "null"}));
        }
        if forms.len() == 1 { forms.remove(0) } else { json!({"anyOf": forms}) }
    }
}
