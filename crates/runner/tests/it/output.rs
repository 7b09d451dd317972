//! Output: bytes in equal bytes out, whatever they are.

use std::io::Read;

use armor_output::{StreamKind, replay, stream_file};
use armor_runner::Cause;
use armor_testkit::require_engine;
use sha2::{Digest, Sha256};

use crate::support::{Ask, Sandbox, end_of, sh, text};

const GIB: u64 = 1 << 30;

#[tokio::test]
async fn engine_a_gibibyte_arrives_whole() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    // Numbered lines: a piece that is lost, doubled or out of place would show.
    let line = format!("yes | head -c {GIB} | cat -n | head -c {GIB}");
    let ask = Ask { keep_bytes: Some(GIB), ..sh(&line) };
    let (mut connection, _) = sandbox.begin("e1", ask).await;
    let end = end_of(&mut connection).await;
    assert_eq!((end.cause, end.code, end.stdout_bytes), (Cause::Exited, Some(0), GIB));
    let mut file =
        std::fs::File::open(stream_file(&sandbox.output("e1"), StreamKind::Stdout)).unwrap();
    let (mut found, mut expected) = (Sha256::new(), Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        found.update(&buffer[..read]);
    }
    let (mut left, mut number) = (GIB, 1_u64);
    let mut lines = Vec::new();
    while left > 0 {
        lines.clear();
        for _ in 0..10_000 {
            lines.extend(format!("{number:6}\ty\n").into_bytes());
            number += 1;
        }
        let part = usize::try_from(left).unwrap().min(lines.len());
        expected.update(&lines[..part]);
        left -= part as u64;
    }
    assert_eq!(found.finalize(), expected.finalize());
}

#[tokio::test]
async fn engine_binary_and_one_endless_line_come_as_they_are_up_to_the_limit() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let ran = sandbox.run("e1", Ask { stdin: Some(bytes.clone()), ..sh("cat") }).await;
    assert_eq!(ran.stdout, bytes);
    let keep_bytes = Some(1_000_000);
    let ran = sandbox.run("e2", Ask { keep_bytes, ..sh("head -c 100000000 /dev/zero; echo end") });
    let ran = ran.await;
    assert_eq!(ran.end.stdout_bytes, 100_000_004);
    assert!(ran.stdout.len() < 1_200_000);
    assert!(ran.stdout.ends_with(b"\0end\n"));
}

#[tokio::test]
async fn engine_streams_are_kept_apart_and_in_order() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let line = "echo 1; sleep 0.1; echo 2 >&2; sleep 0.1; echo 3; sleep 0.1; echo 4 >&2";
    let ran = sandbox.run("e1", sh(line)).await;
    assert_eq!((ran.stdout.as_slice(), ran.stderr.as_slice()), (&b"1\n3\n"[..], &b"2\n4\n"[..]));
    let mut order = Vec::new();
    replay(&sandbox.output("e1"), &mut |_, bytes| {
        order.extend_from_slice(bytes);
        Ok(())
    })
    .unwrap();
    assert_eq!(order, b"1\n2\n3\n4\n");
}

#[tokio::test]
async fn engine_many_commands_at_once_lose_nothing() {
    require_engine!();
    let sandbox = Sandbox::start().await;
    let running = (0..8).map(|number| {
        let line = format!("i=0; while [ $i -lt 500 ]; do echo {number} $i; i=$((i+1)); done");
        let sandbox = &sandbox;
        async move { sandbox.run(&format!("e{number}"), sh(&line)).await }
    });
    for (number, ran) in futures_util::future::join_all(running).await.into_iter().enumerate() {
        let expected: Vec<_> = (0..500).map(|i| format!("{number} {i}")).collect();
        assert!(text(&ran.stdout).lines().eq(expected), "command {number}");
    }
}
