//! What people read before they do anything.

use armor_testkit::Home;

use crate::support::armor;

#[test]
fn the_help_lists_the_commands_and_the_exit_codes() {
    insta::assert_snapshot!(armor(&Home::new(), &["--help"]).out);
}

#[test]
fn the_help_of_a_command_lists_its_arguments() {
    insta::assert_snapshot!(armor(&Home::new(), &["exec", "--help"]).out);
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_is_right() {
    let home = Home::new();
    for (words, said) in [
        (&["exce"][..], "exec"),
        (&["exec"][..], "<task>"),
        (&["show", "--colour"][..], "--colour"),
        (&["image"][..], "build"),
        (&["list-tasks", "--set", "x"][..], "KEY=VALUE"),
    ] {
        let ended = armor(&home, words);
        assert_eq!(ended.code, 2, "{words:?}: {ended:?}");
        assert!(ended.err.contains(said), "{words:?}: {ended:?}");
    }
}
