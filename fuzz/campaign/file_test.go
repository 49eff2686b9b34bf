package campaign

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

const wholeFile = `
output: out
duration: 8h
turn: 30s
workers: 4
mode: pr
seed: 18446744073709551615
retention: {corpus: 2GiB, entries: 5000, unconfirmed: 24h, plot: 10MB}
targets:
  - name: a
    object: obj/a.o
    program: p
    weight: 2.5
    workers: 2
    seeds: [in, /abs/in]
  - config: t.yaml
`

func TestFile(t *testing.T) {
	f, err := ParseFile("dir/c.yaml", []byte(wholeFile))
	if err != nil {
		t.Fatal(err)
	}
	want := &File{
		Path: "dir/c.yaml", Output: "dir/out", Duration: 8 * time.Hour, Turn: 30 * time.Second, Workers: 4, Mode: PR, Seed: 1<<64 - 1,
		Retention: Retention{Bytes: 2 << 30, Entries: 5000, Unconfirmed: 24 * time.Hour, Plot: 10_000_000},
		Items: []Item{
			{At: "dir/c.yaml:10", Name: "a", Object: "dir/obj/a.o", ObjectAt: "dir/c.yaml:11", Programs: []string{"p"}, Weight: 2.5, Workers: 2, Seeds: []string{"dir/in", "/abs/in"}},
			{At: "dir/c.yaml:16", Config: "dir/t.yaml", ConfigAt: "dir/c.yaml:16"},
		},
	}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("read\n%+v, want\n%+v", f, want)
	}
}

func TestFileErrors(t *testing.T) {
	target := "\ntargets: [{object: a.o}]"
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "c.yaml: has no targets: list some under targets, each with an object or a config"},
		{"no targets", "targets: []", "c.yaml: has no targets"},
		{"not YAML", "a: [", "c.yaml:1: "},
		{"a list", "- a", "c.yaml:1: takes names and values, not a list"},
		{"unknown", "durations: 8h" + target, `c.yaml:1: unknown key "durations"; did you mean duration?`},
		{"no value", "output:" + target, "c.yaml:1: output has no value; leave it out instead"},
		{"a time without a unit", "duration: 30" + target, `c.yaml:1: duration: takes a time of a second or more, such as 90s, 30m or 8h, not "30"`},
		{"too short", "turn: 10ms" + target, "c.yaml:1: turn: takes a time of a second or more"},
		{"mode", "mode: daily" + target, `c.yaml:1: mode: unknown mode "daily": choose nightly, pr or regression`},
		{"no workers", "workers: 0" + target, "c.yaml:1: workers: takes a number from 1 to 1024; leave it out instead"},
		{"many workers", "workers: 1025" + target, "c.yaml:1: workers: takes a number from 0 to 1024"},
		{"size", "retention: {corpus: 1 PiB}" + target, `c.yaml:1: retention.corpus: takes bytes, such as 500MiB or 2GiB, not "1 PiB"`},
		{"a size too large", "retention: {corpus: 9999999999TiB}" + target, "c.yaml:1: retention.corpus: takes bytes"},
		{"retention", "retention: {corpse: 1GiB}" + target, `c.yaml:1: retention: unknown key "corpse"; did you mean corpus?`},
		{"no object", "targets:\n  - name: a", "c.yaml:2: target: has no object: name one with object, or a target file that has one with config"},
		{"no object inline", "targets:\n  - config: {maps: {}}", "c.yaml:2: target: has no object"},
		{"weight", "targets: [{object: a.o, weight: 0}]", "c.yaml:1: target.weight: takes a number above 0, at most 1000"},
		{"weight that is none", "targets: [{object: a.o, weight: NaN}]", "c.yaml:1: target.weight: takes a number above 0"},
		{"name", "targets: [{object: a.o, name: ../a}]", `c.yaml:1: target.name: "../a": use letters, digits and -_. only, as it names a directory`},
		{"hidden name", "targets: [{object: a.o, name: .a}]", "use letters, digits"},
		{"programs", "targets: [{object: a.o, programs: some}]", "c.yaml:1: target.programs: takes a list of names, or all"},
		{"config", "targets: [{object: a.o, config: [x]}]", "c.yaml:1: target.config: takes the path of a target file, or what it would have"},
		{"null in a config", "targets: [{object: a.o, config: {type: }}]", "c.yaml:1: target.config: type has no value"},
		{"variant without a name", "targets:\n  - object: a.o\n    variants:\n      - {max_steps: 1}", "c.yaml:4: target.variants: a variant needs a name"},
		{"variant twice", "targets: [{object: a.o, variants: [{name: x}, {name: x}]}]", `c.yaml:1: target.variants: the name "x" is given twice`},
		{"object of a variant", "targets: [{object: a.o, variants: [{name: x, object: b.o}]}]", "c.yaml:1: target.variants: object is the same for all variants"},
		{"anchors", "targets: &a [{object: a.o}]", "anchors, aliases and tags are not supported"},
		{"name twice", "output: a\noutput: b" + target, `c.yaml:2: mapping key "output" already defined`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseFile("c.yaml", []byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPlan(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yaml")
	for _, name := range []string{"o/x.bpf.o", "o/y.o"} {
		writeFile(t, filepath.Join(dir, name), "")
	}
	config := writeFile(t, filepath.Join(dir, "sub/t.yaml"), "object: ../o/x.bpf.o\nprogram: p\nmaps:\n  m: [{value: 1}]\n  n: [{value: '0x1'}]\nseeds: [in]\nmax_steps: 2\n")
	programs := func(object string) ([]string, error) {
		switch filepath.Base(object) {
		case "x.bpf.o":
			return []string{"p", "q/r"}, nil
		case "y.o":
			return nil, nil
		}
		return nil, errors.New("unreadable")
	}
	for _, test := range []struct {
		name, targets string
		want          []string // name object program config, what is dir without it
	}{
		{"an object", "- object: o/y.o", []string{"y o/y.o - -"}},
		{"a name", "- {object: o/y.o, name: n, program: p}", []string{"n o/y.o p -"}},
		{"a target file", "- config: sub/t.yaml", []string{"x - - sub/t.yaml"}},
		{"a target file and an object", "- {config: sub/t.yaml, object: o/y.o, program: p}", []string{"y o/y.o p sub/t.yaml"}},
		{"a pattern", "- object: o/*.o", []string{"x o/x.bpf.o - -", "y o/y.o - -"}},
		{"a pattern with a name", "- {object: o/*.o, name: n}", []string{"n-x o/x.bpf.o - -", "n-y o/y.o - -"}},
		{"some programs", "- {object: o/y.o, programs: [a, b]}", []string{"y-a o/y.o a -", "y-b o/y.o b -"}},
		{"all programs", "- {object: o/x.bpf.o, programs: all}", []string{"x-p o/x.bpf.o p -", "x-q_r o/x.bpf.o q/r -"}},
		{"no programs", "- {object: o/y.o, programs: all}", []string{"y o/y.o - - o/y.o has no program that can be fuzzed"}},
		{"unreadable", "- {object: o/gone.o, programs: all}", []string{"gone o/gone.o - - unreadable"}},
		{"all of a target file's", "- {config: sub/t.yaml, programs: all}", []string{"x-p - p sub/t.yaml", "x-q_r - q/r sub/t.yaml"}},
		{"inline", "- {object: o/y.o, config: {max_steps: 3}}", []string{"y - - -"}},
		{"variants", "- {object: o/x.bpf.o, programs: all, variants: [{name: v}, {name: w}]}", []string{"x-p-v - - -", "x-p-w - - -", "x-q_r-v - - -", "x-q_r-w - - -"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := ParseFile(path, []byte("targets:\n  "+test.targets))
			if err != nil {
				t.Fatal(err)
			}
			all, err := f.Plan(programs)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, target := range all {
				line := []string{target.Name}
				for _, word := range []string{target.Object, target.Program, target.Config} {
					if word == "" {
						word = "-"
					}
					line = append(line, word)
				}
				if target.Problem != nil {
					line = append(line, target.Problem.Error())
				}
				got = append(got, strings.ReplaceAll(strings.Join(line, " "), dir+"/", ""))
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("planned %q, want %q", got, test.want)
			}
		})
	}
	t.Run("set up", func(t *testing.T) {
		f, err := ParseFile(path, []byte("targets:\n  - config: sub/t.yaml\n    object: o/y.o\n    variants:\n      - name: v\n        maps: {m: [{key: 'be(1)', value: [1, \"a b\"]}]}\n        seeds: [more]\n        max_steps: 4\n"))
		if err != nil {
			t.Fatal(err)
		}
		all, err := f.Plan(programs)
		if err != nil {
			t.Fatal(err)
		}
		want := "# Written by bpffuzz campaign, from " + path + ":2.\nobject: " + dir + "/o/y.o\nprogram: p\nmaps:\n  m:\n" +
			"    - {key: \"be(1)\", value: [1, \"a b\"]}\n  n:\n    - {value: 0x1}\nseeds:\n    - " + dir + "/sub/in\n    - " + dir + "/more\nmax_steps: 4\n"
		want = strings.ReplaceAll(want, "seeds:\n    - ", "seeds:\n  - ")
		want = strings.ReplaceAll(want, "\n    - "+dir+"/more", "\n  - "+dir+"/more")
		if all[0].Setup != want {
			t.Errorf("written:\n%s, want\n%s", all[0].Setup, want)
		}
		for line, place := range map[int]string{2: path + ":2", 3: config + ":2", 5: path + ":6", 6: path + ":6", 7: config + ":5", 10: config + ":6", 12: path + ":8"} {
			err := all[0].Explain("x.yaml", errors.New("x.yaml:"+strconv.Itoa(line)+": bad"))
			if err.Error() != place+": bad" {
				t.Errorf("an error in line %d is %v, want it at %s", line, err, place)
			}
		}
		for _, text := range []string{"y.yaml:1: bad", "x.yaml:99: bad", "x.yaml:z: bad"} {
			if err := all[0].Explain("x.yaml", errors.New(text)); err.Error() != text {
				t.Errorf("%q became %v", text, err)
			}
		}
	})
}

func TestPlanErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yaml")
	writeFile(t, filepath.Join(dir, "bad.yaml"), "- a")
	for _, test := range []struct{ name, targets, want string }{
		{"one name twice", "- object: a/x.o\n  - object: b/x.bpf.o", `:3: target: the name "x" is that of the target at ` + path + ":2 as well"},
		{"nothing matches", "- object: none-*.o", ":2: target.object: no file matches "},
		{"no pattern", "- object: '[a.o'", ":2: target.object: "},
		{"no target file", "- config: gone.yaml", ":2: target.config: there is no file "},
		{"no names and values", "- config: bad.yaml", "bad.yaml:1: is no target file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := ParseFile(path, []byte("targets:\n  "+test.targets))
			if err == nil {
				_, err = f.Plan(nil)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(wholeFile))
	f.Add([]byte("targets: [{object: a.o, config: {maps: {m: [{value: \"\\u0000\"}]}}, variants: [{name: x, maps: {m: []}}]}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := ParseFile("/nowhere/c.yaml", text)
		if err != nil {
			return
		}
		targets, err := file.Plan(func(string) ([]string, error) { return []string{"p", "q"}, nil })
		if err != nil {
			return
		}
		for i := range targets {
			if !fileName(targets[i].Name) {
				t.Errorf("a target is called %q", targets[i].Name)
			}
			if n := strings.Count(targets[i].Setup, "\n"); n != len(targets[i].SetupAt) {
				t.Errorf("%d lines have %d places:\n%s", n, len(targets[i].SetupAt), targets[i].Setup)
			}
		}
	})
}
