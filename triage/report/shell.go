package report

import (
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/triage"
)

// shellStart and shellEnd are what repro.sh has around the finding's own lines.
const (
	shellStart = `set -eu

cannot() { echo "repro.sh: $*" >&2; exit 2; }
command -v bpftool >/dev/null || cannot "bpftool is not installed"
[ "$(id -u)" = 0 ] || cannot "loading programs takes root: run it with sudo"

# A private network and mount namespace: nothing touches the machine's own network,
# and what is pinned is gone when the script ends.
if [ -z "${REPRO_UNSHARED:-}" ]; then
	object=$(realpath -- "${OBJECT:-$(dirname -- "$0")/repro.o}")
	REPRO_UNSHARED=1 OBJECT=$object exec unshare --net --mount -- sh -- "$0" "$@"
fi
cd -- "$(dirname -- "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 2' HUP INT TERM
pins=/sys/fs/bpf # maps that are pinned by name would go there
mount -t bpf none $pins || cannot "mounting a BPF file system at $pins"
ln -s -- "$OBJECT" "$tmp/repro.o" # the object's name is part of names of maps
bpftool prog loadall "$tmp/repro.o" $pins/programs pinmaps $pins/maps || cannot "loading $OBJECT"

same=yes

# step NUMBER RETURNED NAME DATA CONTEXT ARGS...: runs bpftool with ARGS and compares what
# comes back with what was found: the return value, or "error" where the kernel refused
# the run, and the files DATA and CONTEXT, "" for no comparison.
step() {
	number=$1 want=$2 name=$3 data=$4 context=$5
	shift 5
	rm -f "$tmp/data" "$tmp/context"
	if answer=$(bpftool -j prog run pinned "$pins/programs/$program" "$@" repeat 0 2>&1); then
		got=$(printf '%s\n' "$answer" | sed -n 's/.*"retval": *\([0-9]*\).*/\1/p')
	else
		got=error
		printf '%s\n' "$answer"
	fi
	echo "step $number: returned $got; found was $want${name:+ ($name)}"
	[ "$got" = "$want" ] || same=no
	[ -z "$data" ] || cmp -s "$data" "$tmp/data" || { same=no; echo "step $number: another packet than $data"; }
	[ -z "$context" ] || cmp -s "$context" "$tmp/context" || { same=no; echo "step $number: another context than $context"; }
}

`
	shellEnd = `
if [ $same = yes ]; then
	echo "fails as found: $title"
	exit 1
fi
echo "does not fail as found"
`
)

// Shell returns repro.sh, which runs the steps of a finding with bpftool.
func Shell(f *triage.Finding, r *Recipe) string {
	var s strings.Builder
	s.WriteString("#!/bin/sh\n")
	s.WriteString(comment("#", fmt.Sprintf(`%s: %s

Runs the input of this finding with bpftool prog run, without the fuzzer:

    sudo sh repro.sh
    sudo OBJECT=path/to/rebuilt.o sh repro.sh

Exit code: 1 as long as what comes back is what was found, 0 when it is something
else, 2 when the program could not be run.`, f.Oracle, f.Title)))
	s.WriteString(shellStart)
	fmt.Fprintf(&s, "program=%s\ntitle=%s\n", ShellWord(pinName(r.Program)), ShellWord(oneLine(f.Oracle+": "+f.Title)))
	for i := range r.Contents {
		writeUpdate(&s, &r.Contents[i])
	}
	for i := range r.Calls {
		for k := range r.Calls[i].Before {
			writeUpdate(&s, &r.Calls[i].Before[k])
		}
		writeShellStep(&s, f, r, i)
	}
	s.WriteString(shellEnd)
	return s.String()
}

// writeUpdate puts an entry into a map.
func writeUpdate(s *strings.Builder, c *Content) {
	if c.ReadOnly {
		return
	}
	verb, key := "update", " key hex"+hexBytes(c.Key)
	if c.Key == nil {
		verb, key = "push", ""
	}
	value := "hex" + hexBytes(c.Value)
	if c.Program != "" {
		value = "pinned \"$pins/programs/\"" + ShellWord(pinName(c.Program))
	}
	fmt.Fprintf(s, "bpftool map %s pinned \"$pins/maps/\"%s%s value %s || cannot \"filling map %s\"\n",
		verb, ShellWord(pinName(mapName(c.Map))), key, value, pinName(c.Map))
}

// mapName is the name that libbpf gives a map of the object repro.o: sections of global
// data have the object's name in front, if they have the usual names.
func mapName(name string) string {
	switch name {
	case ".data", ".rodata", ".bss":
		return "repro" + name
	}
	return name
}

// pinName is the name of a file that is pinned: libbpf has no dots in them.
func pinName(name string) string { return strings.ReplaceAll(name, ".", "_") }

func hexBytes(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		fmt.Fprintf(&s, " %02x", c)
	}
	return s.String()
}

func writeShellStep(s *strings.Builder, f *triage.Finding, r *Recipe, i int) {
	c := &r.Calls[i]
	w, ok := found(f, i, c)
	if !ok {
		return
	}
	want, verdict, data, context := fmt.Sprint(w.ret), f.Steps[i].Verdict, "''", "''"
	if w.errno != 0 {
		want, verdict = "error", f.Steps[i].Errno.Error()
	}
	if w.data != nil {
		data = stepFile(f.Input, i, "out")
	}
	if w.context != nil {
		context = stepFile(f.Input, i, "ctx.out")
	}
	fmt.Fprintf(s, "step %d %s %s %s %s", i, want, ShellWord(verdict), data, context)
	if c.Data != nil {
		fmt.Fprintf(s, " data_in %s", stepFile(f.Input, i, "data"))
	}
	if c.GivesData {
		s.WriteString(` data_out "$tmp/data"`)
	}
	if c.Context != nil {
		fmt.Fprintf(s, " ctx_in %s", stepFile(f.Input, i, "ctx"))
	}
	if c.GivesContext {
		s.WriteString(` ctx_out "$tmp/context"`)
	}
	s.WriteString("\n")
}

// shellInputs returns the files that repro.sh reads, by name.
func shellInputs(f *triage.Finding, r *Recipe) map[string][]byte {
	files := map[string][]byte{}
	for i := range r.Calls {
		c := &r.Calls[i]
		w, _ := found(f, i, c)
		for _, file := range []struct {
			what string
			b    []byte
		}{{"data", c.Data}, {"ctx", c.Context}, {"out", w.data}, {"ctx.out", w.context}} {
			if file.b != nil {
				files[stepFile(f.Input, i, file.what)] = file.b
			}
		}
	}
	return files
}
