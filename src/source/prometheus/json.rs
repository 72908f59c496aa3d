//! JSON tokens at the front of a part of a text, without copying them.

use std::borrow::Cow;

/// One token; strings and numbers as they stand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Colon,
    Comma,
    Bool,
    Null,
    Number(&'a str),
    /// What stands between the quotes, escapes and all.
    String(&'a [u8]),
}

impl Token<'_> {
    /// The token in words, for a message.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ObjectStart => "`{`",
            Self::ObjectEnd => "`}`",
            Self::ArrayStart => "`[`",
            Self::ArrayEnd => "`]`",
            Self::Colon => "`:`",
            Self::Comma => "`,`",
            Self::Bool => "a boolean",
            Self::Null => "null",
            Self::Number(_) => "a number",
            Self::String(_) => "a text",
        }
    }
}

/// How many bytes of white space `bytes` begins with.
pub(super) fn white_space(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(bytes.len())
}

/// The token `bytes` begins with and its length; `None` when more bytes are needed to tell.
pub(super) fn token(bytes: &[u8]) -> Result<Option<(Token<'_>, usize)>, String> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let single = |token| Ok(Some((token, 1)));
    match first {
        b'{' => single(Token::ObjectStart),
        b'}' => single(Token::ObjectEnd),
        b'[' => single(Token::ArrayStart),
        b']' => single(Token::ArrayEnd),
        b':' => single(Token::Colon),
        b',' => single(Token::Comma),
        b't' => word(bytes, b"true", Token::Bool),
        b'f' => word(bytes, b"false", Token::Bool),
        b'n' => word(bytes, b"null", Token::Null),
        b'"' => string(bytes),
        b'-' | b'0'..=b'9' => number(bytes),
        other => Err(format!("`{}` begins no JSON value", char::from(other).escape_debug())),
    }
}

fn word<'a>(bytes: &[u8], word: &[u8], token: Token<'a>) -> Result<Option<(Token<'a>, usize)>, String> {
    if bytes.starts_with(word) {
        Ok(Some((token, word.len())))
    } else if word.starts_with(bytes) {
        Ok(None)
    } else {
        Err(format!("not `{}`", String::from_utf8_lossy(word)))
    }
}

fn string(bytes: &[u8]) -> Result<Option<(Token<'_>, usize)>, String> {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok(Some((Token::String(&bytes[1..at]), at + 1))),
            b'\\' => at += 2,
            0..0x20 => return Err("a control character in a text".to_owned()),
            _ => at += 1,
        }
    }
    Ok(None)
}

fn number(bytes: &[u8]) -> Result<Option<(Token<'_>, usize)>, String> {
    let Some(len) = bytes.iter().position(|b| !matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) else { return Ok(None) };
    match std::str::from_utf8(&bytes[..len]) {
        Ok(text) if is_number(text) => Ok(Some((Token::Number(text), len))),
        _ => Err("not a JSON number".to_owned()),
    }
}

/// The number grammar of RFC 8259, section 6.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits) && exponent.is_none_or(digits)
}

/// The text that stands between two quotes, with its escapes resolved.
pub(super) fn text(raw: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    let raw = std::str::from_utf8(raw).map_err(|_| "a text that is not UTF-8")?;
    if !raw.contains('\\') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut after = escape.chars();
        out.push(match after.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (unit, tail) = code_unit(after.as_str())?;
                let (c, tail) = character(unit, tail)?;
                after = tail.chars();
                c
            }
            _ => return Err("an escape that JSON does not have"),
        });
        rest = after.as_str();
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// The four hexadecimal digits after `\u`.
fn code_unit(text: &str) -> Result<(u32, &str), &'static str> {
    let bad = "an escape \\u without four hexadecimal digits";
    let digits = text.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(bad)?;
    Ok((u32::from_str_radix(digits, 16).map_err(|_| bad)?, &text[4..]))
}

/// The character of a UTF-16 unit, with the low half that must follow a high surrogate.
fn character(unit: u32, rest: &str) -> Result<(char, &str), &'static str> {
    let lone = "half of a surrogate pair";
    if !(0xd800..0xdc00).contains(&unit) {
        return Ok((char::from_u32(unit).ok_or(lone)?, rest));
    }
    let (low, rest) = code_unit(rest.strip_prefix("\\u").ok_or(lone)?)?;
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or(lone)?;
    Ok((char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low).ok_or(lone)?, rest))
}

/// 10⁰ to 10¹⁷, all exact in `f64`.
const POWERS: [f64; 18] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];

/// The number `text` writes, `NaN`, `+Inf` and `-Inf` included, rounded to the nearest `f64`.
///
/// A short decimal is one exact integer divided by one exact power of ten, so that the quotient is
/// correctly rounded (Clinger, "How to read floating point numbers accurately", PLDI 1990); the
/// standard library reads the rest.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    short_decimal(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

fn short_decimal(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.len() > POWERS.len() {
        return None;
    }
    let (mut mantissa, mut places, mut dots) = (0_u64, 0_usize, 0_usize);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                places += dots;
            }
            b'.' if dots == 0 => dots = 1,
            _ => return None,
        }
    }
    if digits.len() == dots || mantissa > 1 << f64::MANTISSA_DIGITS {
        return None;
    }
    let value = mantissa as f64 / POWERS.get(places)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_those_of_json() {
        for good in ["0", "-0", "10", "1.50", "-0.1e+5", "1E9"] {
            assert!(is_number(good), "{good}");
        }
        for bad in ["", "-", "01", "1.", ".5", "+1", "1e", "1e+", "1.2.3", "1-2"] {
            assert!(!is_number(bad), "{bad}");
        }
    }

    #[test]
    fn reads_what_prometheus_writes_for_no_number() {
        assert!(float(b"NaN").unwrap().is_nan());
        assert_eq!(float(b"+Inf"), Some(f64::INFINITY));
        assert_eq!(float(b"-Inf"), Some(f64::NEG_INFINITY));
        for bad in [&b""[..], b".", b"-", b"1 ", b"0x1", b"\xff"] {
            assert_eq!(float(bad), None);
        }
    }

    #[test]
    fn refuses_broken_escapes() {
        for bad in [r"\x", r"\u12", r"\ud800", r"\ud800A", r"\udc00", r"\ud83d\n", r"\u+123"] {
            assert!(text(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(text(br"\ud83d\ude00 \u00e9\/\b\f\n\r\t").unwrap(), "😀 é/\u{8}\u{c}\n\r\t");
        assert!(text(b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn decimals_are_read_as_the_standard_library_reads_them(text in r"-?[0-9]{0,20}(\.[0-9]{0,20})?(e-?[0-9]{1,3})?") {
            prop_assert_eq!(float(text.as_bytes()).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits));
        }

        #[test]
        fn every_float_reads_back(value in any::<f64>()) {
            let read = float(value.to_string().as_bytes()).unwrap();
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
        }

        #[test]
        fn texts_are_read_as_serde_reads_them(value in any::<String>()) {
            let quoted = serde_json::to_string(&value).unwrap();
            let (token, len) = token(quoted.as_bytes()).unwrap().unwrap();
            let Token::String(raw) = token else { panic!("{token:?}") };
            prop_assert_eq!(len, quoted.len());
            prop_assert_eq!(text(raw).unwrap(), value);
        }
    }
}
