//! How a case went. It is kept only where it is shown that it was tried.

use std::fmt;

use crate::case::{BEGUN, MISSING, TRIED};
use crate::{Case, Ending, REACHED};

/// What a trial of a case has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The case succeeded.
    Reached,
    /// It was tried to its end, or what keeps it ended it, and it did not succeed.
    Kept,
    /// Nothing is shown: a program was missing, it failed before its attempt, or its time was over.
    NotTried,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reached => "REACHED",
            Self::Kept => "kept",
            Self::NotTried => "NOT TRIED",
        })
    }
}

/// A case that was tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Which.
    pub case: Case,
    /// What it has shown.
    pub verdict: Verdict,
    /// What it wrote to standard output, and what was found behind it.
    pub said: String,
    /// What it wrote to standard error. That may show a case's own text.
    pub complained: String,
}

/// How the command of a case ended.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) said: String,
    pub(crate) complained: String,
    /// Whether that is all that it said.
    pub(crate) is_whole: bool,
    /// Its exit code as shells give it; none where it was ended by what watched over it.
    pub(crate) exit_code: Option<i64>,
}

impl Trial {
    pub(crate) fn of(case: Case, ran: Ran) -> Self {
        let verdict = judge(case.ending, &ran);
        Self { case, verdict, said: ran.said, complained: ran.complained }
    }

    /// What it said, in one line.
    pub fn in_short(&self) -> String {
        let said = self.said.lines().filter(|line| ![BEGUN, TRIED].contains(line));
        let mut lines = self.complained.lines().chain(said);
        let reached = self.said.lines().find(|line| line.contains(REACHED));
        let line = reached.or_else(|| lines.rfind(|line| !line.trim().is_empty()));
        line.unwrap_or("nothing").chars().filter(|c| !c.is_control()).take(70).collect()
    }
}

fn judge(ending: Ending, ran: &Ran) -> Verdict {
    let says = |what: &str| ran.said.lines().any(|line| line == what);
    let was_tried = says(TRIED) && !ran.said.contains(MISSING);
    // By a time limit, by the kernel for its memory or a system call, or with all that is in the sandbox.
    let was_ended = matches!(ran.exit_code, None | Some(124 | 137 | 159));
    let may_be_ended = ending == Ending::Killed && says(BEGUN);
    if ran.said.contains(REACHED) {
        Verdict::Reached
    } else if ran.is_whole && (was_tried || may_be_ended && was_ended) {
        Verdict::Kept
    } else {
        Verdict::NotTried
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::Area;
    use crate::Attempt::{self, Python, Shell};

    /// How it goes on this machine, where nothing keeps it.
    fn verdict(attempt: Attempt, ending: Ending) -> Verdict {
        let case = Case { ending, ..Case::ours(Area::Files, "a case", attempt) };
        let argv = case.argv();
        let ran = Command::new(&argv[0]).args(&argv[1..]).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ran = Ran {
            said: text(&ran.stdout),
            complained: text(&ran.stderr),
            is_whole: true,
            exit_code: Some(ran.status.code().map_or(137, i64::from)),
        };
        Trial::of(case, ran).verdict
    }

    #[test]
    fn a_case_that_was_tried_is_kept_or_has_reached() {
        for ending in [Ending::Told, Ending::Killed] {
            assert_eq!(verdict(Shell("false"), ending), Verdict::Kept);
            assert_eq!(verdict(Shell("true && echo REACHED"), ending), Verdict::Reached);
            assert_eq!(
                verdict(Shell("timeout 9 bash -c 'echo REACHED'"), ending),
                Verdict::Reached
            );
            assert_eq!(verdict(Python("print('kept by', 'EPERM')"), ending), Verdict::Kept);
            assert_eq!(verdict(Python("print('REACHED')"), ending), Verdict::Reached);
        }
    }

    #[test]
    fn a_case_that_never_came_to_its_attempt_is_not_kept() {
        for ending in [Ending::Told, Ending::Killed] {
            for attempt in [
                Shell("no-such-program; true"),
                Shell("x=$(no-such-program 2>/dev/null | cat) 2>/dev/null"),
                Shell("bash -c 'no-such-program' > /dev/null 2>&1"),
                Shell("find /no-such-folder 2>/dev/null | grep -q . || exit; echo REACHED"),
                Shell("if"),
                Python("no_such_function()"),
                Python("import no_such_module"),
                Python("this is no program"),
            ] {
                assert_eq!(verdict(attempt, ending), Verdict::NotTried, "{attempt:?}");
            }
        }
    }

    #[test]
    fn only_a_case_that_says_so_may_be_killed() {
        for attempt in [Shell("kill -9 $$"), Python("os.kill(os.getpid(), 9)")] {
            assert_eq!(verdict(attempt, Ending::Killed), Verdict::Kept, "{attempt:?}");
            assert_eq!(verdict(attempt, Ending::Told), Verdict::NotTried, "{attempt:?}");
        }
    }

    #[test]
    fn what_was_not_heard_in_full_or_never_began_shows_nothing() {
        let ran = |said: &str, is_whole, exit_code| Ran {
            said: said.to_owned(),
            complained: String::new(),
            is_whole,
            exit_code,
        };
        let whole = "BEGUN\nTRIED\n";
        assert_eq!(judge(Ending::Told, &ran(whole, true, Some(0))), Verdict::Kept);
        assert_eq!(judge(Ending::Told, &ran(whole, false, Some(0))), Verdict::NotTried);
        assert_eq!(judge(Ending::Killed, &ran("", true, None)), Verdict::NotTried);
        assert_eq!(judge(Ending::Killed, &ran("BEGUN\n", true, None)), Verdict::Kept);
    }
}
