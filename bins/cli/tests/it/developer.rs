//! What the image for developers is for: programs are built and run in a sandbox as it comes, without
//! any network (R51).

use armor_testkit::{Home, require_engine};

use crate::support::{Said, armor, started_task};

const SUM_C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **words) {
    long sum = 0;
    for (int at = 1; at < count; at++) sum += strtol(words[at], NULL, 10);
    printf("%ld\n", sum);
    return sum == 42 ? 0 : 1;
}
"#;

const MAKEFILE: &str = "sum: sum.o\n\tgcc -o $@ $^\n\
                        sum.o: sum.c\n\tgcc -O2 -Wall -Wextra -Werror -c -o $@ $<\n";

const SUM_TS: &str = r"
interface Point { readonly x: number; readonly y: number }
const area = (points: readonly Point[]): number =>
    points.reduce((sum, point) => sum + point.x * point.y, 0);
console.log(area([{ x: 4, y: 10 }, { x: 1, y: 2 }]));
";

const SUM_PY: &str = r"
import json, sqlite3, ssl, sys
connection = sqlite3.connect('sums.db')
connection.execute('CREATE TABLE sums (part INTEGER)')
connection.executemany('INSERT INTO sums VALUES (?)', [(40,), (2,)])
print(sys.prefix, json.dumps(connection.execute('SELECT sum(part) FROM sums').fetchone()))
";

#[tokio::test]
async fn engine_programs_in_c_typescript_and_python_are_built_and_run() {
    require_engine!();
    let home = Home::new()
        .with("ARMOR_SANDBOX_IMAGE", "agentic-armor/opencode-sandbox-developer:latest")
        // As much as without the tests' own setting.
        .with("ARMOR_SANDBOX_MEMORY_MIB", "2048");
    let (task, workspace) = started_task(&home, &[]);
    for (name, text) in [
        ("sum.c", SUM_C),
        ("Makefile", MAKEFILE),
        ("sum.ts", SUM_TS),
        ("wrong.ts", "const text: string = 42;\n"),
        ("sum.py", SUM_PY),
    ] {
        std::fs::write(workspace.join(name), text).unwrap();
    }
    let run = |line: &str| -> Said { armor(&home, &["exec", "--shell", &task, line]) };
    let well = |line: &str, wanted: &str| {
        let said = run(line);
        assert_eq!((said.code, said.out.as_str()), (0, wanted), "{line}: {said:?}");
    };
    well("make -s -j 2 && ./sum 20 22", "42\n");
    well("make -s && ./sum 40 2 && rm sum && make -s && ./sum 42", "42\n42\n");
    well("tsc --strict --target es2020 --outDir out sum.ts && node out/sum.js", "42\n");
    let wrong = run("tsc --strict --noEmit wrong.ts");
    assert!(wrong.code != 0 && wrong.out.contains("TS2322"), "{wrong:?}");
    well("python3 -m venv venv && venv/bin/python sum.py", "/workspace/venv [42]\n");
    let pip = run("venv/bin/pip --version");
    assert!(pip.code == 0 && pip.out.contains("/workspace/venv/"), "{pip:?}");
    // The person who has the files on the host does not lose what was made.
    assert!(workspace.join("sum").exists() && workspace.join("out/sum.js").exists());
}
