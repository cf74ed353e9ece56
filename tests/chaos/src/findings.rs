//! What a scenario found: figures, some of which are demanded.

use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: String,
    /// What it has to be; absent where it is only told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) demanded: Option<String>,
    pub(crate) holds: bool,
}

/// The figures of one scenario, in the order in which they were found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Findings(pub(crate) Vec<Figure>);

impl Findings {
    /// A figure that is told and judged by nobody.
    pub(crate) fn tell(&mut self, what: impl Into<String>, value: impl ToString) {
        self.push(what, value, None, true);
    }

    /// A count that has to be exactly this.
    pub(crate) fn must_be(&mut self, what: impl Into<String>, value: u64, demanded: u64) {
        self.push(what, value, Some(demanded.to_string()), value == demanded);
    }

    /// A number that has to be within these bounds.
    pub(crate) fn within(&mut self, what: impl Into<String>, value: f64, least: f64, most: f64) {
        let demanded = if most.is_finite() {
            format!("{least} to {most}")
        } else {
            format!("at least {least}")
        };
        self.push(what, format!("{value:.2}"), Some(demanded), (least..=most).contains(&value));
    }

    /// Something that has to be so.
    pub(crate) fn must(&mut self, what: impl Into<String>, holds: bool) {
        self.push(what, if holds { "yes" } else { "no" }, Some("yes".to_owned()), holds);
    }

    /// All but who told the operator, which every scenario demands of itself.
    pub(crate) fn in_a_line(&self) -> String {
        let told = |figure: &&Figure| figure.value != "yes";
        let figures = self.0.iter().filter(told);
        let words: Vec<String> = figures
            .map(|Figure { what, value, holds, .. }| {
                format!("{what} {value}{}", if *holds { "" } else { " (NOT AS DEMANDED)" })
            })
            .collect();
        words.join("; ")
    }

    /// Whether everything that was demanded is so.
    pub(crate) fn hold(&self) -> bool {
        self.0.iter().all(|figure| figure.holds)
    }

    fn push(
        &mut self,
        what: impl Into<String>,
        value: impl ToString,
        demanded: Option<String>,
        holds: bool,
    ) {
        let (what, value) = (what.into(), value.to_string());
        self.0.push(Figure { what, value, demanded, holds });
    }
}
