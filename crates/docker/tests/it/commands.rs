//! Commands (R52), through a program of ours in the sandbox, and through the engine's exec API where
//! that cannot run.

use std::time::{Duration, Instant};

use armor_core::error::{Code, Diagnostic};
use armor_core::id::ExecutionId;
use armor_core::sandbox::{
    CommandEnd, CommandExit, Input, InputStream, NetworkMode, Runtime, Signal,
};
use armor_testkit::require_engine;

use tokio::io::{AsyncRead, AsyncWriteExt, duplex, repeat};
use tokio::sync::watch;

use crate::support::{Place, USER};

#[tokio::test]
async fn engine_arguments_environment_directory_and_input_arrive_as_they_are() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let words = ["/bin/printf", "%s|", "$HOME", "a b", "'", "\"", "\\n", "*", "; id", ""];
        let ran = place.exec(&sandbox, place.request(&words)).await.unwrap();
        assert_eq!(ran.stdout, "$HOME|a b|'|\"|\\n|*|; id||");

        let mut request =
            place.request(&["/bin/sh", "-c", "pwd; echo \"$A\"; echo $HOME; cat; echo end"]);
        "/tmp".clone_into(&mut request.cwd);
        request.env = vec![("A".to_owned(), "x=y\nz".to_owned())];
        request.stdin = Some(Input::Bytes("in".repeat(500_000).into()));
        let ran = place.exec(&sandbox, request).await.unwrap();
        let rest = ran.stdout.strip_prefix("/tmp\nx=y\nz\n/home/agent\n").unwrap();
        assert_eq!(rest, format!("{}end\n", "in".repeat(500_000)));

        // One that reads nothing of much input does not hang.
        let mut request = place.request(&["/bin/true"]);
        request.stdin = Some(Input::Bytes(vec![b'x'; 8 << 20].into()));
        assert_eq!(place.exec(&sandbox, request).await.unwrap().exit, CommandExit::Code(0));
        // One without input finds it empty.
        let ran = place.exec(&sandbox, place.request(&["/bin/cat"])).await.unwrap();
        assert_eq!((ran.stdout.as_str(), ran.exit), ("", CommandExit::Code(0)));
    }
}

#[tokio::test]
async fn engine_streams_are_apart_and_each_is_whole_and_in_order() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let line =
            "i=0; while [ $i -lt 3000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; exit 9";
        let ran = place.sh(&sandbox, line).await;
        let expected = |word: &str| (0..3000).map(|n| format!("{word} {n}")).collect::<Vec<_>>();
        assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected("out"));
        assert_eq!(ran.stderr.lines().collect::<Vec<_>>(), expected("err"));
        assert_eq!(ran.exit, CommandExit::Code(9));
    }
}

// As when the disk is full just then. What there is of it stays.
#[tokio::test]
async fn engine_output_that_cannot_be_completed_is_told_of_where_there_is_no_runner() {
    require_engine!();
    let [_, place] = Place::both();
    let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
    let request = place.request(&["/bin/echo", "hello"]);
    let order = request.output.folder.join("order.jsonl");
    std::fs::create_dir_all(&request.output.folder).unwrap();
    std::os::unix::fs::symlink("/dev/full", order).unwrap();
    let ran = place.exec(&sandbox, request).await.unwrap();
    assert_eq!((ran.exit, ran.stdout.as_str()), (CommandExit::Unkept, "hello\n"));
}

#[tokio::test]
async fn engine_output_comes_while_the_command_runs() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let line = "mkfifo /tmp/f; echo first; read -r word < /tmp/f";
        let mut running = place.begin(&sandbox, place.request(&["/bin/sh", "-c", line]));
        running.writes().await;
        place.sh(&sandbox, "echo on > /tmp/f").await;
        assert_eq!(running.end().await.unwrap().exit, CommandExit::Code(0));
    }
}

fn stream(source: impl AsyncRead + Send + Unpin + 'static) -> Input {
    Input::Stream(InputStream::new(Box::new(source)))
}

#[tokio::test]
async fn engine_input_reaches_a_command_as_it_comes_and_ends_where_it_ends() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let (mut typed, source) = duplex(64);
        let mut request = place.request(&["/bin/cat"]);
        request.stdin = Some(stream(source));
        let mut running = place.begin(&sandbox, request);
        for line in 1..=3 {
            typed.write_all(b"line\n").await.unwrap();
            running.has_written(5 * line).await;
        }
        drop(typed);
        assert_eq!(running.end().await.unwrap().exit, CommandExit::Code(0));

        // One that reads a little of what never ends, and one that does not wait for what never comes.
        let mut request = place.request(&["/bin/sh", "-c", "head -c 3"]);
        request.stdin = Some(stream(repeat(b'x')));
        let ran = place.exec(&sandbox, request).await.unwrap();
        assert_eq!((ran.stdout.as_str(), ran.exit), ("xxx", CommandExit::Code(0)));
        let (_typed, source) = duplex(64);
        let mut request = place.request(&["/bin/true"]);
        request.stdin = Some(stream(source));
        assert_eq!(place.exec(&sandbox, request).await.unwrap().exit, CommandExit::Code(0));
    }
}

#[tokio::test]
async fn engine_input_that_comes_can_be_opened_by_its_name_to_read_and_not_to_write() {
    require_engine!();
    let place = Place::new();
    let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
    let line = "cat /dev/stdin; echo x 1<>/proc/self/fd/0 && echo written; true";
    let mut request = place.request(&["/bin/sh", "-c", line]);
    request.stdin = Some(stream(std::io::Cursor::new("typed\n")));
    let ran = place.exec(&sandbox, request).await.unwrap();
    assert_eq!((ran.stdout.as_str(), ran.exit), ("typed\n", CommandExit::Code(0)), "{ran:?}");
}

#[tokio::test]
async fn engine_what_cannot_be_started_is_told_apart() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let exit = async |argv: &[&str]| {
            let ran = place.exec(&sandbox, place.request(argv)).await.unwrap();
            assert_eq!(ran.stdout, "", "the engine's own words are no output");
            ran.exit
        };
        assert_eq!(exit(&["no-such-program"]).await, CommandExit::NotFound);
        assert_eq!(exit(&["/no/such/program"]).await, CommandExit::NotFound);
        assert_eq!(exit(&["/etc/passwd"]).await, CommandExit::NotExecutable);
        assert_eq!(exit(&["/etc"]).await, CommandExit::NotExecutable);
        assert_eq!(exit(&["/bin/sh", "-c", "exit 126"]).await, CommandExit::Code(126));
        assert_eq!(exit(&["/bin/sh", "-c", "kill -9 $$"]).await, CommandExit::Code(137));
        // Output that looks like the engine's words stays output.
        let words = "OCI runtime exec failed: permission denied";
        let ran = place.exec(&sandbox, place.request(&["/bin/echo", words])).await.unwrap();
        assert_eq!(ran.stdout, format!("{words}\n"));

        let mut request = place.request(&["/bin/true"]);
        "/no/such/folder".clone_into(&mut request.cwd);
        let error = place.exec(&sandbox, request).await.unwrap_err();
        assert_eq!(error.code(), Code::ArgumentInvalid);
    }
}

/// What is alive in the sandbox, besides what keeps it so and the look itself.
async fn alive(place: &Place, sandbox: &armor_core::id::SandboxId) -> String {
    let look = "for p in /proc/[0-9]*; do read -r name < $p/comm || continue; \
                case $name in docker-init|sh|runner|exe) ;; *) grep -q 'Uid:.*10001' $p/status && echo $name;; esac; done";
    place.sh(sandbox, look).await.stdout
}

#[tokio::test]
async fn engine_killing_an_execution_ends_all_of_its_processes_and_no_others() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let begin = async |line: &str| {
            let mut running = place.begin(&sandbox, place.request(&["/bin/sh", "-c", line]));
            running.writes().await;
            running
        };
        let other = begin("echo begun; exec tail -f /dev/null").await;
        let trees = [
            // A child, a grandchild in a session of its own with nothing in its environment, one
            // whose parent is gone, and one that takes no notice of signals.
            "sleep 1000 & env -i setsid sh -c 'sleep 1001 & exec sleep 1002' & (sleep 1003 &) ; \
         sh -c 'trap \"\" TERM HUP INT; sleep 1004; sleep 1005' & echo begun; wait",
            // As many as there may be.
            "i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done 2>/dev/null; echo begun; wait",
        ];
        for tree in trees {
            let running = begin(tree).await;
            let begun = Instant::now();
            place.kill(&sandbox, &running.execution).await;
            let exit = running.end().await.unwrap().exit;
            // The engine only sees that it was killed, not by whom.
            assert!(matches!(exit, CommandExit::Killed | CommandExit::Code(137)), "{exit:?}");
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
            assert_eq!(alive(&place, &sandbox).await, "tail\n");
        }
        assert!(!other.has_ended(), "another execution was killed too");
    }
}

#[tokio::test]
async fn engine_a_fork_bomb_is_ended_and_the_sandbox_goes_on() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let request = place.request(&[
            "/bin/sh",
            "-c",
            "echo begun; bomb() { bomb | bomb & }; bomb; sleep 1000",
        ]);
        let mut running = place.begin(&sandbox, request);
        running.writes().await;
        place.kill(&sandbox, &running.execution).await;
        // How it ended does not matter, as long as it did: the engine may have lost track of it.
        let _ended = running.end().await;
        assert_eq!(place.sh(&sandbox, "echo alive").await.stdout, "alive\n");
        assert_eq!(alive(&place, &sandbox).await, "");
    }
}

// R52: with the runner and without.
#[tokio::test]
async fn engine_a_signal_reaches_a_command_with_its_group_and_no_other() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let begin = async |line: &str| {
            let mut running = place.begin(&sandbox, place.request(&["/bin/sh", "-c", line]));
            running.writes().await;
            running
        };
        let send = async |execution: &ExecutionId, signal| {
            place.runtime.signal(&sandbox, execution, USER, signal).await.unwrap()
        };
        let other = begin("echo begun; exec tail -f /dev/null").await;
        let running = begin("trap 'exit 7' USR1; sleep 1000 & echo begun; wait").await;
        let execution = running.execution.clone();
        assert!(send(&execution, Signal::Usr1).await);
        assert_eq!(running.end().await.unwrap().exit, CommandExit::Code(7));
        // What has ended hears nothing, nor does what never ran.
        assert!(!send(&execution, Signal::Usr1).await);
        assert!(!send(&place.execution(), Signal::Usr1).await);
        let alone = async { while alive(&place, &sandbox).await != "tail\n" {} };
        tokio::time::timeout(Duration::from_secs(30), alone).await.unwrap();

        assert!(send(&other.execution, Signal::Term).await);
        assert_eq!(other.end().await.unwrap().exit, CommandExit::Code(128 + 15));
    }
}

// R52: a time limit with the whole process tree killed.
#[tokio::test]
async fn engine_a_time_limit_ends_a_command_with_all_that_came_of_it() {
    require_engine!();
    for place in Place::both() {
        let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
        let mut request = place.request(&["/bin/sh", "-c", "echo begun; sleep 1000 & sleep 1001"]);
        request.limit = Duration::from_millis(500);
        let ran = place.exec(&sandbox, request).await.unwrap();
        assert_eq!((ran.exit, ran.stdout.as_str()), (CommandExit::TimedOut, "begun\n"));
        assert_eq!(alive(&place, &sandbox).await, "");
    }
}

// R52: a caller that dies does not take the command with it.
#[tokio::test]
async fn engine_a_command_that_its_caller_left_is_taken_up_by_another() {
    require_engine!();
    let place = Place::new();
    let sandbox = place.sandbox(&place.spec(NetworkMode::None)).await;
    let line = "mkfifo /tmp/f; echo begun; read -r word < /tmp/f; echo $word; exit 7";
    let request = place.request(&["/bin/sh", "-c", line]);
    let (execution, folder) = (request.execution.clone(), request.output.folder.clone());
    let mut running = place.begin(&sandbox, request);
    running.writes().await;
    running.leave().await;
    assert!(place.runtime.outlives_us(&sandbox).await.unwrap());
    assert_eq!(place.runtime.noted_end(&folder), None);

    let (progress, mut heard) = watch::channel(None);
    let watched = place.runtime.watch(&sandbox, &execution, &folder, &progress);
    let go_on = async {
        heard.wait_for(Option::is_some).await.unwrap();
        place.sh(&sandbox, "echo on > /tmp/f").await;
    };
    let (watched, ()) = tokio::join!(watched, go_on);
    let end = watched.unwrap().unwrap();
    assert_eq!((end.exit, end.written.stdout), (CommandExit::Code(7), 9));
    let told = |end: Option<CommandEnd>| end.map(|end| (end.exit, end.written, end.usage));
    assert_eq!(told(place.runtime.noted_end(&folder)), told(Some(end)));
    // Whoever comes later hears the same, and of what never ran nothing.
    let (progress, _) = watch::channel(None);
    let late = place.runtime.watch(&sandbox, &execution, &folder, &progress).await.unwrap();
    assert_eq!(told(late), told(Some(end)));
    let never = (place.execution(), folder.with_file_name("never"));
    let never = place.runtime.watch(&sandbox, &never.0, &never.1, &progress).await.unwrap();
    assert_eq!(never, None);
}
