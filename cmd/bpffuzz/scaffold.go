package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// scaffold is what init writes for one program.
type scaffold struct {
	object    string // as the target file names it
	dir       string
	program   string
	kind      string // the library's name of the type
	maps      []corpus.MapShape
	variables []string
}

func (s *scaffold) path(name string) string { return filepath.Join(s.dir, name) }

// fileName is the program's name without what files should not have.
func (s *scaffold) fileName() string {
	return strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsDigit(r) || unicode.IsLetter(r) {
			return r
		}
		return '_'
	}, s.program)
}

// funcName is the name of the fuzz target: xdp_firewall gives FuzzXdpFirewall.
func (s *scaffold) funcName() string {
	name := "Fuzz"
	for word := range strings.SplitSeq(s.fileName(), "_") {
		if word != "" {
			first := []rune(word)
			name += string(unicode.ToUpper(first[0])) + string(first[1:])
		}
	}
	return name
}

// packageName is that of tests for the package in the directory, or made of the
// directory's name where there is none.
func (s *scaffold) packageName() string {
	files, _ := filepath.Glob(filepath.Join(globQuote(s.dir), "*.go"))
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly)
		if err == nil {
			return strings.TrimSuffix(f.Name.Name, "_test") + "_test"
		}
	}
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return "fuzz_test"
	}
	name := strings.Map(func(r rune) rune {
		if unicode.IsLower(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, strings.ToLower(filepath.Base(dir)))
	if name = strings.TrimLeftFunc(name, unicode.IsDigit); name == "" || token.IsKeyword(name) {
		return "fuzz_test"
	}
	return name + "_test"
}

// targetFile returns the text of the target file. What is not known is a comment.
func (s *scaffold) targetFile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What %s runs, and what is true of it; docs/target-file.md has all keys.\n", s.funcName())
	fmt.Fprintf(&b, "object: %s\nprogram: %s\n", strconv.Quote(s.object), strconv.Quote(s.program))
	if len(s.variables) > 0 {
		b.WriteString("\n# Constants and globals, where they are not what the object says:\n# variables:\n")
		for _, name := range s.variables {
			fmt.Fprintf(&b, "#   %s: 0\n", name)
		}
	}
	if len(s.maps) > 0 {
		b.WriteString("\n# Maps are empty, and code behind a lookup is dead, unless they have entries here:\n# maps:\n")
		for i := range s.maps {
			m := &s.maps[i]
			fmt.Fprintf(&b, "#   %s: # %s\n#     - {key: %s, value: %s}\n", m.Name, m.Kind, sampleKey(m), sample(m.Value, m.ValueSize))
		}
	}
	b.WriteString("\n# Expressions that are true as long as all is well; docs/invariants.md has the language:\n" +
		"# invariants:\n#   - name: short-packets-do-not-pass\n#     expr: ret != 2 || len >= 14\n")
	return b.String()
}

func sampleKey(m *corpus.MapShape) string {
	if m.Kind == "lpm_trie" && m.KeySize == 8 {
		return "0.0.0.0/0"
	}
	if m.Kind == "lpm_trie" && m.KeySize == 20 {
		return `"::/0"`
	}
	return sample(m.Key, m.KeySize)
}

// sample shows how a key or a value is written: by its fields, where they are known.
func sample(fields []corpus.Field, size int) string {
	switch {
	case len(fields) == 0:
		return strconv.Quote("0x" + strings.Repeat("00", min(size, 64)))
	case len(fields) == 1 && fields[0].Name == "value": // that is what an integer is called
		return "0"
	}
	var parts []string
	for i := range fields {
		if name := fields[i].Name; name != "" && !strings.ContainsAny(name, ".[") {
			parts = append(parts, name+": 0")
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// testFile returns the text of the test.
func (s *scaffold) testFile() string {
	return fmt.Sprintf(`package %s

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
)

// %s runs %s with packets and contexts that the fuzzer makes, for as
// long as -fuzztime says:
//
//	sudo go test -fuzz %s -fuzztime 1m
//
// A plain go test runs what was saved in testdata/fuzz/%s.
func %s(f *testing.F) {
	target := fuzztest.Target{TargetFile: %s}
	fuzztest.Run(f, target, func(t *fuzztest.T, in *corpus.Input, out *corpus.Outcome) {
		for i := range out.Steps {
			step := &out.Steps[i]
			if step.Errno != 0 {
				continue // the kernel refused to run it
			}
			%s
		}
	})
}
`, s.packageName(), s.funcName(), s.program, s.funcName(), s.funcName(), s.funcName(),
		strconv.Quote(s.fileName()+".yaml"), s.check())
}

// check is an invariant to start from, by the type of the program.
func (s *scaffold) check() string {
	switch s.kind {
	case "XDP":
		return `// Say what has to be true: in.Steps[i].Packet is what the program got.
			if t.Verdict(i) == "XDP_ABORTED" {
				t.Errorf("step %d: aborted", i)
			}`
	case "SchedCLS", "SchedACT":
		return `// Say what has to be true: in.Steps[i].Packet is what the program got,
			// t.Given(i, "mark") the mark then, t.Field(i, "mark") the one that it leaves.
			if t.Verdict(i) == "TC_ACT_OK" && len(step.Packet) < 14 {
				t.Errorf("step %d: accepted a packet of %d bytes", i, len(step.Packet))
			}`
	}
	return `// Say what has to be true: t.Given(i, "FIELD") is a field of the context.
			if ret := int32(step.Ret); ret < -4095 {
				t.Errorf("step %d: returned %d, which is no errno", i, ret)
			}`
}
