package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/triage/report/graph"
)

// loadClean loads a program with BTF and returns it with its id.
func loadClean(t *testing.T) (*ebpf.Program, uint32) {
	t.Helper()
	if !privileged() {
		t.Skip("loading programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	coll, err := ebpf.LoadCollection(filepath.Join("testdata", "clean.o"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(coll.Close)
	prog := coll.Programs["drop_other"]
	info, err := prog.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, ok := info.ID()
	if !ok {
		t.Fatal("the program has no id")
	}
	return prog, uint32(id)
}

func showed(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(append([]string{"show"}, args...), &out, &errs); code != exitClean {
		t.Fatalf("show %s: exit code %d: %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}

func TestShowLoaded(t *testing.T) {
	prog, number := loadClean(t)
	id := fmt.Sprint(number)
	stats, err := ebpf.EnableStats(0) // BPF_STATS_RUN_TIME
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Close()
	if _, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 64), Repeat: 5}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args string
		want []string
	}{
		{"", []string{
			`^` + id + `: xdp  name drop_other  tag [0-9a-f]{16}.*  run_time_ns \d+  run_cnt 5$`, `^\tloaded_at 20\d\d-.*  uid \d+$`,
			`^\txlated \d+B  jited (no|\d+B)  memlock \d+B$`, `^\tbtf_id \d+$`, `^\tpids .*\(` + fmt.Sprint(os.Getpid()) + `\)`,
		}},
		{"--json", []string{`"id":` + id + `,"type":"xdp","name":"drop_other",`, `"run_cnt":5,`, `"pids":\[{"pid":` + fmt.Sprint(os.Getpid())}},
		{"--insns", []string{`^program ` + id + `$`, `^drop_other:$`, `^; if \(!p `, `^ +\d+: exit$`}},
		{"--insns --opcodes --linum", []string{`^      95 00 00`, `line_num:\d+ line_col:\d+\]$`}},
		{"--insns --json", []string{`^{"programs":\[{"id":` + id + `,"program":"drop_other",`}},
		{"--dot", []string{`^digraph "drop_other"`, `f0b0 -> f0b`}},
		{"--svg", []string{`^<svg `}},
	} {
		t.Run(tc.args, func(t *testing.T) {
			got := showed(t, append(strings.Fields(tc.args), "--id", id)...)
			for _, want := range tc.want {
				if !regexp.MustCompile(`(?m)` + want).MatchString(got) {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
		})
	}
}

func TestShowMachineCode(t *testing.T) {
	_, number := loadClean(t)
	id := fmt.Sprint(number)
	var list struct {
		Programs []struct {
			Jited int `json:"bytes_jited"`
		}
	}
	if err := json.Unmarshal([]byte(showed(t, "--json", "--id", id)), &list); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "code")
	if list.Programs[0].Jited == 0 {
		var out, errs bytes.Buffer
		if code := run([]string{"show", "--jited", "--id", id}, &out, &errs); code != exitError || !strings.Contains(errs.String(), "it is interpreted") {
			t.Errorf("exit code %d: %s", code, errs.String())
		}
		return
	}
	showed(t, "--jited", "--id", id, "-o", file)
	if b, err := os.ReadFile(file); err != nil || len(b) != list.Programs[0].Jited {
		t.Errorf("%d bytes, want %d (%v)", len(b), list.Programs[0].Jited, err)
	}
	text := showed(t, "--jited", "--opcodes", "--linum", "--id", id)
	for _, want := range []string{`^program ` + id + ` drop_other: \d+ bytes of `, `^drop_other: \d+ bytes at 0x[0-9a-f]+$`, `^; .* line_num:\d+`, `^ +0: `} {
		if !regexp.MustCompile(`(?m)` + want).MatchString(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// TestShowPinned has a BPF file system of its own, in a mount namespace of one
// thread.
func TestShowPinned(t *testing.T) {
	prog, id := loadClean(t)
	dir := t.TempDir()
	skip, got := make(chan error, 1), make(chan string, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		defer close(got)
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("bpf", dir, "bpf", 0, "")); err != nil {
			skip <- err
			return
		}
		path := filepath.Join(dir, "pinned")
		if err := prog.Pin(path); err != nil {
			got <- err.Error()
			return
		}
		var out, errs bytes.Buffer
		run([]string{"show", "--pinned", path}, &out, &errs)
		got <- out.String() + errs.String()
	}()
	text, ok := <-got
	if !ok {
		t.Skipf("no BPF file system in a namespace: %v", <-skip)
	}
	if !strings.HasPrefix(text, fmt.Sprintf("%d: xdp  name drop_other", id)) {
		t.Errorf("got\n%s", text)
	}
}

// TestInfer has a branch, a loop and a tail call, with what was seen of them.
func TestInfer(t *testing.T) {
	const (
		c, m, u = graph.Covered, graph.Missed, graph.Unknown
		open    = graph.Plain // not observed
	)
	zero := 0
	edge := func(from, to int, state graph.State) shownEdge {
		e := shownEdge{fromBlock: from, block: to, state: state, Index: &zero}
		if state == open {
			e.Index = nil
		}
		return e
	}
	for _, tc := range []struct {
		name          string
		edges         []shownEdge
		leaves        int // the block in which the program may end
		blocks, flows []graph.State
	}{
		{"straight", []shownEdge{edge(-1, 0, c), edge(0, 1, open)}, -1, []graph.State{c, c}, []graph.State{c, c}},
		{"never", []shownEdge{edge(-1, 0, m), edge(0, 1, open)}, -1, []graph.State{m, m}, []graph.State{m, m}},
		{
			"branch and join",
			[]shownEdge{edge(-1, 0, c), edge(0, 1, c), edge(0, 2, m), edge(1, 3, open), edge(2, 3, open)},
			-1,
			[]graph.State{c, c, m, c},
			[]graph.State{c, c, m, c, m},
		},
		{"a tail call on the way", []shownEdge{edge(-1, 0, c), edge(0, 1, open)}, 0, []graph.State{c, u}, []graph.State{c, u}},
		{"known behind it", []shownEdge{edge(-1, 0, c), edge(0, 1, open), edge(1, 2, c), edge(1, 3, m)}, 0, []graph.State{c, c, c, m}, []graph.State{c, u, c, m}},
		{"sampled", []shownEdge{edge(-1, 0, u), edge(0, 1, open), edge(1, 1, m)}, -1, []graph.State{u, u}, []graph.State{u, u, m}},
		{"a loop that nothing enters", []shownEdge{edge(-1, 0, c), edge(0, 1, m), edge(1, 2, open), edge(2, 1, open)}, -1, []graph.State{c, m, m}, []graph.State{c, m, m, m}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &shownFunction{Edges: tc.edges, Blocks: make([]shownBlock, len(tc.blocks))}
			leaves := make([]bool, len(tc.blocks))
			if tc.leaves >= 0 {
				leaves[tc.leaves] = true
			}
			infer(f, leaves, graph.Missed)
			for i, want := range tc.blocks {
				if f.Blocks[i].state != want {
					t.Errorf("block %d: %s, want %s", i, f.Blocks[i].state, want)
				}
			}
			for i, want := range tc.flows {
				if f.Edges[i].state != want {
					t.Errorf("edge %d: %s, want %s", i, f.Edges[i].state, want)
				}
			}
		})
	}
}
