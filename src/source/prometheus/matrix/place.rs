//! Where in an answer the parser is.

/// What a value is for; also what kind of array or object is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Answer,
    Status,
    ErrorKind,
    ErrorText,
    Notes,
    Note,
    Data,
    ResultType,
    Result,
    Series,
    Metric,
    Label,
    Values,
    Sample,
    Time,
    Value,
    /// After the value of a sample, where nothing belongs.
    Surplus,
    Histograms,
    Ignored,
}

impl Place {
    /// The place and what belongs there, for a message.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Answer => "the answer (an object)",
            Self::Status => "`status` (a text)",
            Self::ErrorKind => "`errorType` (a text)",
            Self::ErrorText => "`error` (a text)",
            Self::Notes => "a list of warnings",
            Self::Note => "a warning (a text)",
            Self::Data => "`data` (an object)",
            Self::ResultType => "`resultType` (a text)",
            Self::Result => "`result` (a list of series)",
            Self::Series => "a series (an object)",
            Self::Metric => "`metric` (an object)",
            Self::Label => "a label's value (a text)",
            Self::Values => "`values` (a list of samples)",
            Self::Sample => "a sample (`[time, \"value\"]`)",
            Self::Time => "a sample's time (a number of seconds)",
            Self::Value => "a sample's value (a number in quotes)",
            Self::Surplus => "the end of a sample",
            Self::Histograms => "`histograms` (a list)",
            Self::Ignored => "a value",
        }
    }

    /// What the elements of an array in this place are for.
    pub(super) fn element(self) -> Self {
        match self {
            Self::Result => Self::Series,
            Self::Values => Self::Sample,
            Self::Sample => Self::Time,
            Self::Notes => Self::Note,
            _ => Self::Ignored,
        }
    }
}

/// What the grammar allows next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}
