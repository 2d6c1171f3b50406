//! The rows: what is measured of whom.

use crate::{case::Model, server::Server, wire::Wire};

/// What a row does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Each client sends when its last answer is there.
    Closed,
    /// Requests are due at this share of the highest rate of the fastest peer.
    Open(f64),
    /// Memory while so many connections are open, all at work.
    Memory,
    /// The engine's time for a batch of each size.
    Curve,
    /// The server's reader of JSON beside a bare loop over the same numbers, in this process.
    Floats,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name: model, wire, clients.
    pub id: String,
    /// The model.
    pub model: Model,
    /// The wire.
    pub wire: Wire,
    /// Connections.
    pub clients: usize,
    /// What it does.
    pub kind: Kind,
}

impl Row {
    fn closed(model: Model, wire: Wire, clients: usize) -> Self {
        let id = format!("{}-{}-{clients}", model.name(), wire.name());
        Self { id, model, wire, clients, kind: Kind::Closed }
    }

    /// Who is measured. Memory is a matter of our own bound.
    pub fn servers(&self) -> Vec<Server> {
        let serves = |server: &Server| server.serves(self.model, self.wire);
        let all = Server::ALL.into_iter().filter(serves);
        match self.kind {
            Kind::Memory | Kind::Curve => vec![Server::Millrace],
            Kind::Floats => Vec::new(),
            Kind::Open(_) => all.filter(|server| matches!(server, Server::Millrace | Server::Triton)).collect(),
            Kind::Closed => all.collect(),
        }
    }
}

/// The simulator's kinds of service, and the model that each is taken from.
const CURVES: [(&str, Model); 4] =
    [("fast", Model::Tiny), ("text", Model::Text), ("images", Model::Image), ("heavy", Model::LongText)];

/// All rows, in the order in which they run.
pub fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    for wire in [Wire::Json, Wire::Binary, Wire::Grpc] {
        rows.extend([1, 16, 64].map(|clients| Row::closed(Model::Tiny, wire, clients)));
    }
    for wire in [Wire::Json, Wire::Grpc] {
        let id = format!("open-{}-64", wire.name());
        rows.push(Row { id, model: Model::Tiny, wire, clients: 64, kind: Kind::Open(0.7) });
    }
    let own = |id: &str, model, clients, kind| Row { id: id.to_owned(), model, wire: Wire::Json, clients, kind };
    rows.push(own("memory-1000", Model::Tiny, 1_000, Kind::Memory));
    for model in [Model::Text, Model::Image] {
        for wire in [Wire::Binary, Wire::Grpc] {
            rows.extend([16, 64].map(|clients| Row::closed(model, wire, clients)));
        }
    }
    rows.extend([16, 64].map(|clients| Row::closed(Model::RawText, Wire::Process, clients)));
    rows.extend([16, 64].map(|clients| Row::closed(Model::RawImage, Wire::Process, clients)));
    rows.push(Row::closed(Model::Image, Wire::Json, 16));
    for (kind, model) in CURVES {
        rows.push(Row { wire: Wire::Binary, ..own(&format!("curve-{kind}"), model, 1, Kind::Curve) });
    }
    rows.push(own("json-floats", Model::Image, 0, Kind::Floats));
    rows
}

/// Rows whose names begin with one of these words; all, if there is none.
pub fn chosen(words: &[String]) -> Vec<Row> {
    let wanted = |row: &Row| words.is_empty() || words.iter().any(|word| row.id.starts_with(word.as_str()));
    all().into_iter().filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_name_of_its_own_and_someone_to_measure() {
        let rows = all();
        let names: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(names.len(), rows.len());
        for row in &rows {
            assert!(row.kind == Kind::Floats || row.servers().contains(&Server::Millrace), "{}", row.id);
        }
        assert_eq!(chosen(&["tiny-json".to_owned()]).len(), 3);
        assert_eq!(chosen(&[]).len(), rows.len());
    }
}
