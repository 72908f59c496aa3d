//! Which tests there are, and what can be set about them.

use std::fmt;
use std::str::FromStr;

use super::pair::Pair;
use super::{InvalidDrift, Outcome, evidently};

/// A test or a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// Kolmogorov–Smirnov; numbers.
    Ks,
    /// Cramér–von Mises; numbers. As in scipy and Evidently it is too large where many values are equal and one sample is much
    /// larger than the other.
    CramerVonMises,
    /// The Wasserstein distance in standard deviations of the reference (of at least 0.001); numbers.
    Wasserstein,
    /// The energy distance, in roots of the values' unit; numbers.
    Energy,
    /// The population stability index.
    Psi,
    /// The Kullback–Leibler divergence.
    KullbackLeibler,
    /// The Jensen–Shannon distance.
    JensenShannon,
    /// The Hellinger distance.
    Hellinger,
    /// χ² against the shares of the reference as if they were exact; categories.
    ChiSquare,
    /// The z-test for the share of the first category; categories.
    Z,
    /// χ² of both samples against one distribution; categories.
    Homogeneity,
}

impl Test {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Ks,
        Self::CramerVonMises,
        Self::Wasserstein,
        Self::Energy,
        Self::Psi,
        Self::KullbackLeibler,
        Self::JensenShannon,
        Self::Hellinger,
        Self::ChiSquare,
        Self::Z,
        Self::Homogeneity,
    ];

    /// Its name, as in Evidently where that has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ks => "ks",
            Self::CramerVonMises => "cramer_von_mises",
            Self::Wasserstein => "wasserstein",
            Self::Energy => "ed",
            Self::Psi => "psi",
            Self::KullbackLeibler => "kl_div",
            Self::JensenShannon => "jensenshannon",
            Self::Hellinger => "hellinger",
            Self::ChiSquare => "chisquare",
            Self::Z => "z",
            Self::Homogeneity => "homogeneity",
        }
    }

    /// Whether it can be chosen for numbers.
    pub const fn is_for_numbers(self) -> bool {
        !matches!(self, Self::ChiSquare | Self::Z | Self::Homogeneity)
    }

    /// Whether it can be chosen for categories.
    pub const fn is_for_categories(self) -> bool {
        !matches!(self, Self::Ks | Self::CramerVonMises | Self::Wasserstein | Self::Energy)
    }

    /// Whether it has a p-value; the others are distances.
    pub const fn has_p_value(self) -> bool {
        matches!(self, Self::Ks | Self::CramerVonMises | Self::ChiSquare | Self::Z | Self::Homogeneity)
    }

    /// The threshold of Evidently.
    pub const fn threshold(self) -> f64 {
        match self {
            Self::Ks | Self::ChiSquare | Self::Z | Self::Homogeneity => 0.05,
            _ => 0.1,
        }
    }
}

impl FromStr for Test {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|test| test.name() == name)
            .ok_or_else(|| format!("`{name}` is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What makes a column drifted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rule {
    /// As Evidently 0.7 has it: the score of one test against its threshold, each column for itself.
    #[default]
    Evidently,
    /// An adjusted p-value under the threshold, and an effect of at least `least_effect`.
    Calibrated {
        /// From 0 to 1; a tenth is what a shift by a quarter of a standard deviation makes of a normal distribution, and a
        /// change from 50 to 60 % of a category.
        least_effect: f64,
    },
}

impl Rule {
    /// The calibrated rule with the effect that is called small.
    pub const fn calibrated() -> Self {
        Self::Calibrated { least_effect: 0.1 }
    }
}

/// What can be set. The defaults are those of Evidently.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The test for numbers; `None` leaves the choice to the rule.
    pub numeric: Option<Test>,
    /// The test for categories; `None` leaves the choice to the rule.
    pub categorical: Option<Test>,
    /// The threshold for numbers; `None` takes the test's own.
    pub numeric_threshold: Option<f64>,
    /// The threshold for categories; `None` takes the test's own.
    pub categorical_threshold: Option<f64>,
    /// The share of columns that must have drifted for the data set to have.
    pub share: f64,
    /// What makes a column drifted.
    pub rule: Rule,
}

impl Default for Options {
    fn default() -> Self {
        Self { numeric: None, categorical: None, numeric_threshold: None, categorical_threshold: None, share: 0.5, rule: Rule::default() }
    }
}

impl Options {
    /// Whether all is as it must be.
    ///
    /// # Errors
    /// The first option that is not.
    pub fn check(&self) -> Result<(), InvalidDrift> {
        let fits = |test: Test, numeric: bool| {
            let kind = if numeric { test.is_for_numbers() } else { test.is_for_categories() };
            kind && (test.has_p_value() || self.rule == Rule::Evidently)
        };
        for (field, test, numeric) in [("numeric", self.numeric, true), ("categorical", self.categorical, false)] {
            if let Some(test) = test.filter(|test| !fits(*test, numeric)) {
                let right: Vec<_> = Test::ALL.into_iter().filter(|test| fits(*test, numeric)).map(Test::name).collect();
                return Err(wrong(field, test.name(), format!("one of {}", right.join(", "))));
            }
        }
        let p_value = |test: Option<Test>| self.rule != Rule::Evidently || test.is_some_and(Test::has_p_value);
        for (field, threshold, test) in [
            ("numeric_threshold", self.numeric_threshold, self.numeric),
            ("categorical_threshold", self.categorical_threshold, self.categorical),
        ] {
            let Some(threshold) = threshold else { continue };
            if p_value(test) && !(threshold > 0.0 && threshold < 1.0) {
                return Err(wrong(field, threshold, "between 0 and 1, as p-values are".into()));
            }
            if !(threshold > 0.0 && threshold.is_finite()) {
                return Err(wrong(field, threshold, "a finite number above 0".into()));
            }
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(wrong("share", self.share, "above 0, and 1 at most".into()));
        }
        if let Rule::Calibrated { least_effect } = self.rule
            && !(0.0..1.0).contains(&least_effect)
        {
            return Err(wrong("least_effect", least_effect, "from 0 to under 1".into()));
        }
        Ok(())
    }

    /// The test of a pair of columns.
    pub(super) fn test_for(&self, pair: &Pair) -> Test {
        match (pair, self.rule) {
            (Pair::Numeric { .. }, Rule::Calibrated { .. }) => self.numeric.unwrap_or(Test::Ks),
            (Pair::Categorical(_), Rule::Calibrated { .. }) => self.categorical.unwrap_or(Test::Homogeneity),
            (Pair::Numeric { .. }, Rule::Evidently) => self.numeric.unwrap_or_else(|| evidently::choose(pair)),
            (Pair::Categorical(_), Rule::Evidently) => self.categorical.unwrap_or_else(|| evidently::choose(pair)),
        }
    }

    /// Its threshold. Where a p-value decides together with an effect, 0.05 whatever the test.
    pub(super) fn threshold_for(&self, test: Test, pair: &Pair) -> f64 {
        let set = match pair {
            Pair::Numeric { .. } => self.numeric_threshold,
            Pair::Categorical(_) => self.categorical_threshold,
        };
        set.unwrap_or(if self.rule == Rule::Evidently { test.threshold() } else { Test::Ks.threshold() })
    }

    /// Whether an outcome is drift.
    pub(super) fn drifted(&self, outcome: &Outcome) -> bool {
        match self.rule {
            Rule::Evidently => evidently::drifted(outcome.test, outcome.score(), outcome.threshold),
            Rule::Calibrated { least_effect } => {
                outcome.adjusted_p.is_some_and(|p| p < outcome.threshold) && outcome.effect >= least_effect
            }
        }
    }
}

fn wrong(field: &'static str, value: impl fmt::Display, wanted: String) -> InvalidDrift {
    InvalidDrift::Option { field, value: value.to_string(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_option_is_named() {
        let base = Options::default();
        let calibrated = Options { rule: Rule::calibrated(), ..base.clone() };
        let wrong = [
            (
                Options { numeric: Some(Test::Z), ..base.clone() },
                "numeric is z; it must be one of ks, cramer_von_mises, wasserstein, ed, psi, kl_div, jensenshannon, hellinger",
            ),
            (
                Options { categorical: Some(Test::Ks), ..base.clone() },
                "categorical is ks; it must be one of psi, kl_div, jensenshannon, hellinger, chisquare, z, homogeneity",
            ),
            (Options { numeric: Some(Test::Psi), ..calibrated.clone() }, "numeric is psi; it must be one of ks, cramer_von_mises"),
            (
                Options { numeric: Some(Test::Ks), numeric_threshold: Some(1.5), ..base.clone() },
                "numeric_threshold is 1.5; it must be between 0 and 1, as p-values are",
            ),
            (
                Options { categorical_threshold: Some(f64::NAN), ..base.clone() },
                "categorical_threshold is NaN; it must be a finite number above 0",
            ),
            (Options { share: 0.0, ..base.clone() }, "share is 0; it must be above 0, and 1 at most"),
            (Options { rule: Rule::Calibrated { least_effect: 1.0 }, ..base.clone() }, "least_effect is 1; it must be from 0 to under 1"),
        ];
        for (options, said) in wrong {
            assert_eq!(options.check().unwrap_err().to_string(), said);
        }
        assert_eq!((base.check(), calibrated.check()), (Ok(()), Ok(())));
    }

    #[test]
    fn every_test_has_its_own_name() {
        for test in Test::ALL {
            assert_eq!(test.name().parse(), Ok(test));
            assert!(test.is_for_numbers() || test.is_for_categories());
        }
        assert!("KS".parse::<Test>().is_err());
    }
}
