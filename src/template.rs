//! Texts with placeholders: `{{service}}` stands for a value.

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Stands for itself.
    Text(&'t str),
    /// The name of what stands there.
    Placeholder(&'t str),
}

/// Splits a template; braces around anything but a label's name are text.
pub fn pieces(template: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest, mut from) = (Vec::new(), template, 0);
    while let Some(open) = rest[from..].find("{{").map(|at| at + from) {
        let name = rest[open + 2..].find("}}").map(|end| &rest[open + 2..open + 2 + end]);
        match name.filter(|name| is_name(name)) {
            Some(name) => {
                if open > 0 {
                    pieces.push(Piece::Text(&rest[..open]));
                }
                pieces.push(Piece::Placeholder(name));
                (rest, from) = (&rest[open + name.len() + 4..], 0);
            }
            None => from = open + 1,
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// Whether `name` may be a placeholder's: that of a label.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The template with each placeholder replaced by what `value` says of its name and the template's text before it.
pub fn join(template: &str, value: impl Fn(&str, &str) -> Option<String>) -> Option<String> {
    let (mut filled, mut before) = (String::new(), String::new());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => {
                filled.push_str(text);
                before.push_str(text);
            }
            Piece::Placeholder(name) => {
                filled.push_str(&value(name, &before)?);
                before.push('_');
            }
        }
    }
    Some(filled)
}

/// The names of a template's placeholders.
pub fn names(template: &str) -> impl Iterator<Item = &str> {
    pieces(template).into_iter().filter_map(|piece| match piece {
        Piece::Placeholder(name) => Some(name),
        Piece::Text(_) => None,
    })
}
