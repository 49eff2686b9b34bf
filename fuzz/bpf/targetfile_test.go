package bpf

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

const fullTargetFile = `# a load balancer
object: build/lb.o
program: entry
variables:
  port: 4433
  name: "lb"
maps:
  vips:
    - {key: {addr: 10.9.8.7, port: 4433, proto: 17}, value: 31337}
    - key: 0x0a09080711511100
      value: be(1)
  hits: [{key: 1, value: 7}]
tail_calls:
  jmp: {2: callee}
seeds: [seeds/http.pcap, /srv/seeds]
invariants:
  - name: ttl
    expr: in.ipv4.ttl > 1 || verdict != "XDP_TX"
  - {name: never-aborted, expr: 'verdict != "XDP_ABORTED"'}
contexts:
  - {ingress_ifindex: 1}
  - ingress_ifindex: 0
max_steps: 8
oracles: {xdp-aborted: on, checksum: off}
`

func TestParseTargetFile(t *testing.T) {
	file, err := ParseTargetFile("dir/t.yaml", []byte(fullTargetFile))
	if err != nil {
		t.Fatal(err)
	}
	if file.Object != "dir/build/lb.o" || file.Program != "entry" || file.MaxSteps != 8 {
		t.Errorf("object %q, program %q, max_steps %d", file.Object, file.Program, file.MaxSteps)
	}
	if want := []string{"dir/seeds/http.pcap", "/srv/seeds"}; !reflect.DeepEqual(file.Seeds, want) {
		t.Errorf("seeds %q, want %q", file.Seeds, want)
	}
	if want := map[string]map[uint32]string{"jmp": {2: "callee"}}; !reflect.DeepEqual(file.TailCalls, want) {
		t.Errorf("tail calls %v, want %v", file.TailCalls, want)
	}
	if want := map[string]bool{"xdp-aborted": true, "checksum": false}; !reflect.DeepEqual(file.Oracles, want) {
		t.Errorf("oracles %v, want %v", file.Oracles, want)
	}
	want := []Invariant{
		{Name: "ttl", Expr: `in.ipv4.ttl > 1 || verdict != "XDP_TX"`, At: "dir/t.yaml:18"},
		{Name: "never-aborted", Expr: `verdict != "XDP_ABORTED"`, At: "dir/t.yaml:19"},
	}
	if !reflect.DeepEqual(file.Invariants, want) {
		t.Errorf("invariants %+v", file.Invariants)
	}
	if got := file.Variables["port"]; got != (Located{At: "dir/t.yaml:5", Value: "4433"}) {
		t.Errorf("port is %+v", got)
	}
	if got := file.Maps["vips"][1].At; got != "dir/t.yaml:10" {
		t.Errorf("the second item is at %s", got)
	}

	spec := testSpec()
	if err := setVariables(spec, file.Variables); err != nil {
		t.Error(err)
	}
	if err := setTailCalls(spec, file.TailCalls, nil); err != nil {
		t.Error(err)
	}
	if _, err := encodeMaps(spec, file.Maps); err == nil || err.Error() != "dir/t.yaml:10: map vips key: is given twice" {
		t.Errorf("the same key twice: %v", err)
	}
	shape, err := newShape(spec, spec.Programs["entry"], testLimits)
	if err != nil {
		t.Fatal(err)
	}
	contexts, err := file.EncodeContexts(shape)
	if err != nil || len(contexts) != 2 || contexts[0][xdpOffIngress] != 1 && !bigMachine() {
		t.Errorf("contexts %x, %v", contexts, err)
	}
}

func TestEmptyTargetFile(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		if file, err := ParseTargetFile("t.yaml", []byte(text)); err != nil || file.Object != "" {
			t.Errorf("%q: %+v, %v", text, file, err)
		}
	}
}

func TestTargetFileErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown key", "object: a.o\nprogramm: x\n", `t.yaml:2: unknown key "programm"; did you mean program?`},
		{"unknown item key", "maps:\n  m:\n  - key: 1\n    valeu: 2\n", `t.yaml:4: map m: unknown key "valeu"; did you mean value?`},
		{"syntax", "object: [a\n", "t.yaml:1: sequence end token ']' not found"},
		{"twice", "object: a\nobject: b\n", `t.yaml:2: mapping key "object" already defined at [1:1]`},
		{"no value", "object: a.o\nprogram:\n", "t.yaml:2: program has no value; leave it out instead"},
		{"list", "object: [a]\n", "t.yaml:1: object: takes a string, not a list"},
		{"root", "- a\n", "t.yaml:1: takes names and values, not a list"},
		{"not a list", "maps: {m: 1}\n", "t.yaml:1: map m: takes a list, not a scalar"},
		{"no item value", "maps:\n  m:\n    - key: 1\n", "t.yaml:3: map m: an item needs a value"},
		{"null in a value", "maps: {m: [{key: {a: ~}, value: 1}]}\n", "t.yaml:1: map m key.a: has nothing, not a value"},
		{"index", "tail_calls:\n  jmp:\n    first: x\n", `t.yaml:3: tail_calls.jmp: "first" is no index from 0 to 4294967295`},
		{"index twice", "tail_calls: {jmp: {1: x, 0x1: y}}\n", "t.yaml:1: tail_calls.jmp: index 1 is given twice"},
		{"invariant", "invariants:\n- expr: ret == 0\n", "t.yaml:2: invariants[0]: needs a name and an expr"},
		{"invariant twice", "invariants: [{name: a, expr: b},{name: a, expr: c}]\n", `t.yaml:1: invariants[1]: the name "a" is given twice`},
		{"steps", "max_steps: 2000\n", "t.yaml:1: max_steps: takes a number from 0 to 1024"},
		{"oracle", "oracles: {a: maybe}\n", "t.yaml:1: oracles.a: takes on or off"},
		{"documents", "object: a\n---\nobject: b\n", "t.yaml: has several documents; write one to a file"},
		{"alias", "variables: {a: &x 1, b: *x}\n", "t.yaml:1: anchors, aliases and tags are not supported: write the value out"},
		{"tag", "variables: {a: !!int 1}\n", "t.yaml:1: anchors, aliases and tags are not supported: write the value out"},
		{"deep brackets", "contexts: " + strings.Repeat("[", 100000), "t.yaml:1: nests deeper than 64 levels"},
		{"deep brackets over lines", strings.Repeat("[\n", 100000), "t.yaml:65: nests deeper than 64 levels"},
		{"deep names", deepNames(600), "t.yaml:513: nests deeper than 64 levels"},
		{"merge key", "variables:\n  <<: {a: 1}\n", "t.yaml:2: anchors, aliases and tags are not supported: write the value out"},
		{"deep lists", strings.Repeat("- ", 100000) + "a", "t.yaml:1: nests deeper than 64 levels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseTargetFile("t.yaml", []byte(tt.text)); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// deepNames nests n mappings, one column further each.
func deepNames(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestLongRowsAreNotDeep(t *testing.T) {
	text := "maps: {hits: [" + strings.Repeat("{key: 0, value: 1}, ", 1000) + "]}\n" +
		"invariants: [{name: a, expr: '" + strings.Repeat("[", 1000) + "'}]\n"
	file, err := ParseTargetFile("t.yaml", []byte(text))
	if err != nil || len(file.Maps["hits"]) != 1000 {
		t.Errorf("%v", err)
	}
}

func TestReadTargetFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(path, []byte(fullTargetFile), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := ReadTargetFile(path)
	if err != nil || file.Object != filepath.Join(filepath.Dir(path), "build", "lb.o") {
		t.Errorf("%+v, %v", file, err)
	}
	if _, err := ReadTargetFile(path + ".missing"); err == nil || !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, make([]byte, maxTargetFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTargetFile(path); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("a huge file: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil {
			return err
		}
		err = u.Unwrap()
	}
}

func FuzzParseTargetFile(f *testing.F) {
	f.Add(fullTargetFile)
	for _, s := range []string{"a: &x [*x]", "? a\n: b", "<<: {a: b}", "maps: {m: [{key: {1: 2}, value: |\n  x}]}", "- - - a", "{", "\x00", "a: !!binary x", "variables:\n\t- x"} {
		f.Add(s)
	}
	spec := testSpec()
	shape := &corpus.Shape{Context: skbContext(100, nil), ContextSize: skbSize}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ParseTargetFile("t.yaml", []byte(text))
		if err != nil {
			return
		}
		spec := spec.Copy()
		if setVariables(spec, file.Variables) == nil {
			_ = setTailCalls(spec, file.TailCalls, nil)
		}
		if encoded, err := encodeMaps(spec, file.Maps); err == nil {
			setContents(spec, encoded, 2)
		}
		contexts, err := file.EncodeContexts(shape)
		for _, ctx := range contexts {
			if err == nil && len(ctx) != skbSize {
				t.Fatalf("a context of %d bytes", len(ctx))
			}
		}
	})
}

// The page that documents target files shows one with every key, and it reads.
func TestDocumentedExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "target-file.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "```yaml\n")
	text, _, closed := strings.Cut(text, "```")
	if !ok || !closed {
		t.Fatal("the page has no example")
	}
	file, err := ParseTargetFile("lb.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for key := range file.keys(&yamlReader{}) {
		if !strings.Contains(text, "\n"+key+":") && !strings.HasPrefix(text, key+":") {
			t.Errorf("the example has no %s", key)
		}
		if !strings.Contains(string(page), "| `"+key+"` |") {
			t.Errorf("the table has no row for %s", key)
		}
	}
}

// The messages on the page are those that a user gets.
func TestDocumentedErrors(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "target-file.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## When something is wrong")
	documented := 0
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "    lb.yaml:") {
			documented++
		}
	}
	texts := []string{
		"object: lb.o\nprogramm: entry\n",
		"object: [lb.o\n",
		"variables:\n  prt: 4433\n",
		"variables:\n  port: 65536\n",
		"maps:\n  vip: [{key: 1, value: 1}]\n",
		"maps:\n  vips:\n    - key: {addr: 10.9.8.7, prot: 17}\n      value: 1\n",
		"maps:\n  vips:\n    - key: {addr: 10.9.8.7, port: 70000}\n      value: 1\n",
		"maps:\n  vips:\n    - key: {addr: \"fd00::1\"}\n      value: 1\n",
		"maps:\n  vips:\n    - key: 0x0a09\n      value: 1\n",
		"maps:\n  flows:\n    - key: 0x0a09080711511100\n      value: {family: FAMILY_IPV5}\n",
		"maps:\n  routes:\n    - {key: 10.0.0.0/33, value: 1}\n",
		"maps:\n  hits:\n    - {key: 2, value: 1}\n",
		"maps:\n  socks:\n    - {key: 0, value: 1}\n",
		"fuzz_maps:\n  vips:\n    key: {prot: 17}\n",
		"fuzz_maps:\n  vips:\n    key: {port: {min: 3, max: 1}}\n",
		"contexts:\n  - {ingress_ifindex: 2}\n",
		"max_steps: 2000\n",
	}
	for _, text := range texts {
		err := setUpFrom(text)
		if err == nil {
			t.Errorf("%q is no error", text)
		} else if !strings.Contains(section, "\n    "+err.Error()+"\n") {
			t.Errorf("not on the page: %s", err)
		}
	}
	if documented != len(texts) {
		t.Errorf("the page has %d messages, %d are tested", documented, len(texts))
	}
}

// setUpFrom does with a target file what making a target does.
func setUpFrom(text string) error {
	file, err := ParseTargetFile("lb.yaml", []byte(text))
	if err != nil {
		return err
	}
	spec := testSpec()
	if err := setVariables(spec, file.Variables); err != nil {
		return err
	}
	if _, err := encodeMaps(spec, file.Maps); err != nil {
		return err
	}
	shape, err := newShape(spec, spec.Programs["entry"], testLimits)
	if err != nil {
		return err
	}
	if err := (&Target{spec: spec, shape: shape}).fuzzMaps(file.FuzzMaps); err != nil {
		return err
	}
	_, err = file.EncodeContexts(shape)
	return err
}

func TestTailCallErrorsHaveTheirLine(t *testing.T) {
	file, err := ParseTargetFile("lb.yaml", []byte("object: lb.o\ntail_calls:\n  jump:\n    0: entry\noracles:\n  abortd: on\n"))
	if err != nil {
		t.Fatal(err)
	}
	setup := file.Setup()
	if err := setup.apply(testSpec(), 1); err == nil || !strings.HasPrefix(err.Error(), "lb.yaml:3: ") {
		t.Errorf("error %v, want one about line 3", err)
	}
	if got := file.OracleAt("abortd"); got != "lb.yaml:6" {
		t.Errorf("the oracle is at %q, want lb.yaml:6", got)
	}
}
