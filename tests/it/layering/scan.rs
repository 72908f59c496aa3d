//! Finds the paths that Rust files name, without compiling them.

/// One path that a file names.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// The file, from the crate's root.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The first module of the file's own path.
    pub module: String,
    /// The path's parts, the crate first; this crate is `crate`.
    pub path: Vec<String>,
}

impl Import {
    /// The module of this crate it leads to, if it does.
    pub fn target(&self) -> Option<&str> {
        (self.path[0] == "crate").then(|| self.path.get(1).map(String::as_str)).flatten()
    }

    /// Whether the path is `prefix` or leads into it.
    pub fn begins_with(&self, prefix: &str) -> bool {
        let prefix: Vec<&str> = prefix.split("::").collect();
        self.path.len() >= prefix.len() && self.path.iter().zip(prefix).all(|(a, b)| a == b)
    }
}

/// Every path of at least two parts that the files (path and text) name outside their tests.
pub fn imports(files: &[(String, String)]) -> Vec<Import> {
    let mut test_modules = Vec::new();
    let mut bare = Vec::new();
    for (file, text) in files {
        let (code, tests) = without_tests(&without_texts(text));
        let module = module_of(file);
        test_modules.extend(tests.into_iter().map(|name| [module.as_slice(), &[name]].concat()));
        bare.push((file, module, code));
    }
    let mut found = Vec::new();
    for (file, module, code) in bare {
        let of_tests = test_modules.iter().any(|test| module.starts_with(test));
        let Some(first) = module.first().filter(|_| !of_tests) else { continue };
        for (line, path) in paths(&tokens(&code)) {
            if let Some(path) = absolute(path, &module) {
                found.push(Import { file: file.clone(), line, module: first.clone(), path });
            }
        }
    }
    found
}

/// `src/analysis/detect.rs` is `[analysis, detect]`; `src/lib.rs` is the root, `[]`.
fn module_of(file: &str) -> Vec<String> {
    let stem = file.trim_start_matches("src/").trim_end_matches(".rs");
    if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

/// The path seen from its crate: `super` and the library's own name become `crate`.
fn absolute(path: Vec<String>, module: &[String]) -> Option<Vec<String>> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path[0].as_str() {
        "self" => None,
        "super" => {
            let above = &module[..module.len().checked_sub(ups)?];
            Some([&["crate".to_owned()], above, &path[ups..]].concat())
        }
        "bellwether" => Some([&["crate".to_owned()], &path[1..]].concat()),
        _ => Some(path),
    }
}

/// The text with comments, strings and characters blanked out; lines stay where they are.
fn without_texts(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        let end = match (chars[i], chars.get(i + 1)) {
            ('/', Some('/')) => chars[i..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| i + n),
            ('/', Some('*')) => block_comment(&chars, i),
            ('"', _) => quoted(&chars, i, '"'),
            ('r' | 'b', Some('"' | '#' | 'r')) if i == 0 || !is_word(chars[i - 1]) => raw_string(&chars, i).unwrap_or(i),
            // A lifetime has no closing quote after its first character.
            ('\'', Some('\\')) => quoted(&chars, i, '\''),
            ('\'', _) if chars.get(i + 2) == Some(&'\'') => i + 3,
            _ => i,
        };
        if end == i {
            out.push(chars[i]);
            i += 1;
        } else {
            out.extend(chars[i..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    i
}

fn quoted(chars: &[char], start: usize, quote: char) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// The end of a raw string that begins here, if one does.
fn raw_string(chars: &[char], start: usize) -> Option<usize> {
    let r = if chars[start] == 'b' { start + 1 } else { start };
    if chars.get(r) != Some(&'r') {
        return None;
    }
    let hashes = chars[r + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(r + 1 + hashes) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = r + 2 + hashes;
    let at = chars[body..].windows(close.len()).position(|w| w == close)?;
    Some(body + at + close.len())
}

/// The code without the items under `#[cfg(test)]`, and the names of the files that are such modules.
fn without_tests(code: &str) -> (String, Vec<String>) {
    const TEST: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    let mut modules = Vec::new();
    while let Some(start) = out.find(TEST) {
        let rest = &out[start + TEST.len()..];
        let (mut depth, mut length) = (0_i32, rest.len());
        for (i, c) in rest.char_indices() {
            match c {
                '{' | '[' | '(' => depth += 1,
                '}' | ']' | ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(c, '}' | ';') {
                length = i + 1;
                break;
            }
        }
        let item = &rest[..length];
        if let Some(name) = item.strip_suffix(';').and_then(|item| item.rsplit_once("mod ")) {
            modules.push(name.1.trim().to_owned());
        }
        let end = start + TEST.len() + length;
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    (out, modules)
}

/// Words and signs with their lines; `::` is one sign.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens: Vec<(usize, String)> = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let chars: Vec<char> = text.chars().collect();
        let mut i = 0;
        while i < chars.len() {
            let length = if is_word(chars[i]) {
                chars[i..].iter().take_while(|c| is_word(**c)).count()
            } else if chars[i..].starts_with(&[':', ':']) {
                2
            } else {
                1
            };
            if !chars[i].is_whitespace() {
                tokens.push((line + 1, chars[i..i + length].iter().collect()));
            }
            i += length;
        }
    }
    tokens
}

/// Every path of at least two parts, with the line of its last part; groups in braces are spread out.
fn paths(tokens: &[(usize, String)]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let begins = is_name(&tokens[i].1) && tokens.get(i + 1).is_some_and(|t| t.1 == "::");
        if begins {
            i = tree(tokens, i, &[], &mut found);
        } else {
            // `use {crate::a, std::b}` and `::std::b` need nothing of their own: each path begins anew.
            i += 1;
        }
    }
    found.retain(|(_, path)| path.len() > 1);
    found
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads one path from token `i` on, under `prefix`; gives the token after it.
fn tree(tokens: &[(usize, String)], mut i: usize, prefix: &[String], found: &mut Vec<(usize, Vec<String>)>) -> usize {
    let mut path = prefix.to_vec();
    let at = |i: usize| tokens.get(i).map_or("", |t| t.1.as_str());
    let mut line = tokens[i].0;
    while is_name(at(i)) {
        // `a::{self}` is `a`.
        if at(i) != "self" || path.is_empty() {
            path.push(at(i).to_owned());
        }
        line = tokens[i].0;
        i += 1;
        if at(i) != "::" {
            break;
        }
        i += 1;
    }
    if at(i) != "{" || tokens.get(i.wrapping_sub(1)).is_none_or(|t| t.1 != "::" && t.1 != "{") {
        found.push((line, path));
        return i;
    }
    i += 1;
    while i < tokens.len() && at(i) != "}" {
        i = if is_name(at(i)) || at(i) == "{" { tree(tokens, i, &path, found) } else { i + 1 };
        if at(i) == "as" {
            i += 2;
        }
    }
    i + 1
}
