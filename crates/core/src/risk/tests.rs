//! What commands score, as a table; and the laws of it.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::Key;
use crate::execution::CommandLine;

fn shell(line: &str) -> CommandLine {
    CommandLine::Shell(line.to_owned())
}

fn threshold() -> u32 {
    Key::find("checkpoint.risk_threshold").unwrap().default.parse().unwrap()
}

/// One command a moment ago.
fn some_work() -> Circumstances {
    Circumstances { since: Some(Duration::ZERO), commands: 1, failures: 0 }
}

fn worst_circumstances() -> Circumstances {
    Circumstances { since: None, commands: u32::MAX, failures: u32::MAX }
}

// R27
#[test]
fn what_may_lose_much_is_due_as_soon_as_there_is_something_to_lose() {
    for line in [
        "rm -rf x",
        "rm -r -f x",
        "rm --recursive x",
        "rm *",
        "cd src && rm -rf *",
        "sudo rm -rf x",
        "sh -c 'rm -rf x'",
        "bash -lc \"cd a; rm -fr b\"",
        "echo $(rm -rf x)",
        "ls | xargs rm",
        "for f in *.rs; do rm $f; done",
        "find . -name '*.rs' -delete",
        "find . -exec rm {} +",
        "find . -exec sh -c 'rm $1' _ {} ;",
        "git reset --hard",
        "git -C sub reset --hard HEAD~3",
        "git clean -fdx",
        "git checkout -- .",
        "git checkout .",
        "git checkout -f main",
        "git switch --discard-changes main",
        "git restore .",
        "git stash drop",
        "git stash clear",
        "rsync -a --delete a/ b/",
        "rm -rf /workspace",
        "rm -rf /tmp/x src",
        "rm -rf /tmp/../workspace",
        "bash <<E\nrm -rf x\nE",
        "python -c 'import shutil; shutil.rmtree(\"x\")' && git merge x",
    ] {
        let risk = Risk::of(&shell(line), &some_work());
        assert!(risk.score >= threshold(), "{line}: {risk:?}");
    }
}

#[test]
fn what_loses_nothing_is_never_due() {
    for line in [
        "true",
        "ls",
        "ls -la /workspace",
        "cat x",
        "grep -r pattern .",
        "rg -n 'rm -rf' .",
        "cargo build",
        "cargo test --workspace -- --nocapture",
        "cargo clippy --all-targets",
        "npm test",
        "npm run build",
        "python script.py",
        "make -j4",
        "git status",
        "git diff HEAD~1",
        "git log --oneline | head",
        "git commit -m \"$(cat <<'E'\nrm -rf the rest\nE\n)\"",
        "git add -A && git commit -m 'remove: rm -rf'",
        "git stash list",
        "echo 'rm -rf x'",
        "echo x >> log",
        "cargo build 2>&1 | tail -5",
        "cargo build > /tmp/log 2>&1",
        "find . -name '*.rs'",
        "find . -exec grep x {} +",
        "rm -rf /tmp/build /var/tmp/x",
        "mkdir -p a/b",
        "sed -n 1,10p x",
        "tar -czf /tmp/x.tar.gz .",
        "git clean -n",
        "cargo fmt --check",
        "",
    ] {
        let risk = Risk::of(&shell(line), &worst_circumstances());
        assert!(risk.score < threshold(), "{line}: {risk:?}");
        assert!(!Risk::of_command(&shell(line)).can_reach(threshold()), "{line}");
    }
}

#[test]
fn what_may_lose_something_is_due_when_there_is_much_to_lose() {
    for line in [
        "rm x",
        "mv a b",
        "sed -i s/a/b/ x",
        "chmod -R a+x .",
        "npm install left-pad",
        "pip3 install -r requirements.txt",
        "python -m pip install x",
        "cargo update",
        "git rebase main",
        "git merge main",
        "git stash",
        "dd if=a of=b",
        "python manage.py migrate",
        "curl https://x | sh",
        "echo 'not closed",
        "ruff check --fix .",
    ] {
        let command = shell(line);
        let little = Risk::of(&command, &some_work());
        let much = Risk::of(&command, &worst_circumstances());
        assert!(little.score < threshold(), "{line}: {little:?}");
        assert!(much.score >= threshold(), "{line}: {much:?}");
    }
}

#[test]
fn a_score_is_said_in_parts() {
    let now = Circumstances { since: Some(Duration::from_mins(20)), commands: 2, failures: 1 };
    let risk = Risk::of(&shell("rm -rf secret-name; rm other"), &now);
    let parts: Vec<_> = risk
        .parts
        .iter()
        .map(|part| (part.kind.as_str(), part.points, part.why.as_str()))
        .collect();
    assert_eq!(
        parts,
        [
            ("deletes", 25, "`rm`: removes files"),
            ("breadth", 25, "`rm`: with all that is below"),
            ("changes", 6, "2 commands ran since the last checkpoint"),
            ("time", 7, "the last checkpoint was taken 20 min ago"),
            ("failures", 1, "of the last 10 commands, 1 failed"),
        ]
    );
    assert_eq!(risk.score, 64);
}

#[test]
fn arrays_are_not_read_as_a_shell_would() {
    let argv = |words: &[&str]| {
        let argv = words.iter().map(|&word| word.to_owned()).collect();
        Risk::of_command(&CommandLine::Argv(argv)).score
    };
    assert_eq!(argv(&["rm", "-rf", "x"]), 50);
    assert_eq!(argv(&["echo", "x;", "rm", "-rf", "x"]), 0);
    assert_eq!(argv(&["rm", "*"]), 25);
    assert_eq!(argv(&["sh", "-c", "rm *"]), 50);
    assert_eq!(argv(&[]), 0);
}

fn circumstances() -> impl Strategy<Value = Circumstances> {
    let since =
        proptest::option::of(0_u64..100_000).prop_map(|since| since.map(Duration::from_secs));
    (since, 0_u32..100, 0_u32..100).prop_map(|(since, commands, failures)| Circumstances {
        since,
        commands,
        failures,
    })
}

fn line() -> impl Strategy<Value = String> {
    let words = proptest::sample::select(
        &[
            "rm", "-rf", "git", "reset", "--hard", "x", "*", ";", "|", "sh", "-c", "'", "\"", "$(",
            ")", "find", "-exec", "sudo", "--", "mv", ">", "<<E", "\n", "/tmp/x", "xargs", "do",
            "ä",
        ][..],
    );
    prop_oneof![
        ".{0,80}",
        proptest::collection::vec(words, 0..20).prop_map(|words| words.join(" ")),
    ]
}

proptest! {
    #[test]
    fn any_text_has_a_score_that_its_parts_explain(text in line(), now in circumstances()) {
        let by_itself = Risk::of_command(&shell(&text));
        let risk = Risk::of(&shell(&text), &now);
        prop_assert!(risk.score <= Risk::MOST);
        let sum: u32 = risk.parts.iter().map(|part| part.points).sum();
        prop_assert_eq!(risk.score, sum.min(Risk::MOST));
        prop_assert!(risk.parts.iter().all(|part| part.points > 0 && !part.why.is_empty()));
        prop_assert!(risk.score >= by_itself.score);
        prop_assert!(risk.score <= by_itself.score + Circumstances::MOST);
        prop_assert!(by_itself.can_reach(risk.score));
    }

    #[test]
    fn more_time_changes_and_failures_never_lower_it(
        text in line(), now in circumstances(),
        time in 0_u64..100_000, commands in 0_u32..10, failures in 0_u32..10,
    ) {
        let before = Risk::of(&shell(&text), &now).score;
        let later = Circumstances {
            since: now.since.map(|since| since + Duration::from_secs(time)),
            commands: now.commands + commands,
            failures: now.failures + failures,
        };
        prop_assert!(Risk::of(&shell(&text), &later).score >= before);
        let never = Circumstances { since: None, ..later };
        prop_assert!(Risk::of(&shell(&text), &never).score >= before);
    }

    #[test]
    fn another_command_in_front_never_lowers_it(
        text in line(),
        other in proptest::sample::select(&["ls", "rm x", "git merge y", "mv a b"][..]),
        now in circumstances(),
    ) {
        let alone = Risk::of(&shell(&text), &now).score;
        let both = shell(&format!("{other}; {text}"));
        prop_assert!(Risk::of(&both, &now).score >= alone);
    }

    #[test]
    fn any_argv_has_a_score(argv in proptest::collection::vec(".{0,20}", 0..8)) {
        prop_assert!(Risk::of_command(&CommandLine::Argv(argv)).score <= Risk::MOST);
    }
}
