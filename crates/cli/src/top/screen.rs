//! The screen of `top`, drawn anew with every look.
//!
//! Promises: whatever happens the terminal is given back as it was; keys work while a server does
//! not answer.

use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::look::{Looker, Snapshot};
use super::view::{self, Section};

/// How often keys are looked for.
const KEYS_EVERY: Duration = Duration::from_millis(50);
const KEYS: &str = "q quit   space stop and go on";

/// Draws until `q`, Escape or Ctrl-C.
pub(super) async fn run(mut looker: Looker, every: Duration) -> anyhow::Result<()> {
    let (sender, seen) = watch::channel(None);
    // Ends with this function, which owns it.
    let mut looking = JoinSet::new();
    looking.spawn(async move {
        let mut due = tokio::time::interval(every);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            sender.send_replace(Some(looker.look().await));
        }
    });
    let mut terminal = ratatui::try_init()?;
    let ended = draw_until_quit(&mut terminal, seen, every).await;
    ratatui::try_restore()?;
    ended
}

async fn draw_until_quit(
    terminal: &mut ratatui::DefaultTerminal,
    mut seen: watch::Receiver<Option<Snapshot>>,
    every: Duration,
) -> anyhow::Result<()> {
    let mut keys = tokio::time::interval(KEYS_EVERY);
    let (mut stopped, mut shown, mut due) = (false, None, true);
    loop {
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                    _ if quits(key) => return Ok(()),
                    KeyCode::Char(' ') => stopped = !stopped,
                    _ => {}
                },
                _ => {}
            }
            due = true;
        }
        if !stopped && seen.has_changed()? {
            shown = seen.borrow_and_update().clone();
            due = true;
        }
        if std::mem::take(&mut due) {
            terminal.draw(|frame| draw(frame, shown.as_ref(), every, stopped))?;
        }
        keys.tick().await;
    }
}

fn quits(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

fn draw(frame: &mut Frame<'_>, seen: Option<&Snapshot>, every: Duration, stopped: bool) {
    let Some(seen) = seen else {
        frame.render_widget(Line::from("looking…"), frame.area());
        return;
    };
    let sections = view::sections(seen);
    let mut heights = vec![Constraint::Length(1), Constraint::Length(2)];
    let height = |rows: usize| Constraint::Length(u16::try_from(rows).unwrap_or(u16::MAX));
    heights.extend(sections.iter().map(|section| height(section.rows.len() + 2)));
    heights.push(height(seen.errors.len()));
    heights.push(Constraint::Fill(1));
    heights.push(Constraint::Length(1));
    let areas = Layout::vertical(heights).split(frame.area());
    let state =
        if stopped { "stopped".to_owned() } else { format!("every {} ms", every.as_millis()) };
    let title = format!("wegweiser top   nats-server {}   {state}", seen.server_version);
    frame.render_widget(Line::from(title).style(Modifier::BOLD), areas[0]);
    frame.render_widget(Line::from(view::headline(seen)), areas[1]);
    for (section, area) in sections.iter().zip(&areas[2..]) {
        frame.render_widget(table(section), *area);
    }
    let errors: Vec<Line<'_>> = seen.errors.iter().map(|error| bad(error)).collect();
    frame.render_widget(ratatui::text::Text::from(errors), areas[2 + sections.len()]);
    frame.render_widget(Line::from(KEYS).style(Color::DarkGray), areas[areas.len() - 1]);
}

fn bad(error: &str) -> Line<'_> {
    Line::from(error).style(Color::Red)
}

fn table(section: &Section) -> Table<'_> {
    let widths = section.headings.iter().enumerate().map(|(column, heading)| {
        let cells = section.rows.iter().filter_map(|row| row.cells.get(column));
        let widest = cells.map(|cell| cell.chars().count()).chain([heading.len()]).max();
        Constraint::Length(u16::try_from(widest.unwrap_or(0)).unwrap_or(u16::MAX))
    });
    let rows = section.rows.iter().map(|row| {
        let cells = row.cells.iter().map(|cell| Cell::from(cell.as_str()));
        let style = if row.bad { Style::from(Color::Red) } else { Style::default() };
        Row::new(cells).style(style)
    });
    let headings = Row::new(section.headings.iter().copied()).style(Modifier::REVERSED);
    Table::new(rows, widths).header(headings).column_spacing(2)
}
