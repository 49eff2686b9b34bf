package report

import (
	"fmt"
	"go/format"
	"maps"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/triage"
)

// GoTest returns repro_test.go: a test that fails as long as the failure is there. It
// reads the file "input" beside it.
func GoTest(f *triage.Finding, r *Recipe) string {
	var s strings.Builder
	s.WriteString(comment("//", fmt.Sprintf(`%s: %s

This test fails as long as the program does. It runs the file "input" beside it:

	sudo go test -tags repro .

It needs a module that requires github.com/bpffuzz/bpffuzz. Where the directory is in
none, make one first:

	go mod init repro && go get github.com/bpffuzz/bpffuzz

To keep it as a regression test, copy it and "input" to a package of yours, take the
next line away, and change the paths below to where the object is from there.`, f.Oracle, f.Title)))
	s.WriteString("\n//go:build repro\n\npackage repro\n\nimport (\n\t\"testing\"\n\n")
	if setsUp(&r.Target) {
		s.WriteString("\t\"github.com/bpffuzz/bpffuzz/fuzz/bpf\"\n")
	}
	s.WriteString("\t\"github.com/bpffuzz/bpffuzz/fuzz/fuzztest\"\n)\n\n")
	fmt.Fprintf(&s, "func FuzzRepro(f *testing.F) {\n\tfuzztest.Run(f, fuzztest.Target{\n")
	writeTarget(&s, &r.Target)
	s.WriteString("\t\tSeeds: []string{\"input\"},\n\t}, nil)\n}\n")
	b, err := format.Source([]byte(s.String()))
	if err != nil {
		return s.String() // it is readable all the same
	}
	return string(b)
}

func setsUp(t *TestTarget) bool { return t.RealHelpers || t.Faults }

func writeTarget(s *strings.Builder, t *TestTarget) {
	set := func(name, value string) {
		if value != "" {
			fmt.Fprintf(s, "\t\t%s: %q,\n", name, value)
		}
	}
	set("Object", t.Object)
	set("TargetFile", t.TargetFile)
	set("Program", t.Program)
	if setsUp(t) {
		var fields []string
		if t.RealHelpers {
			fields = append(fields, "RealHelpers: true")
		}
		if t.Faults {
			fields = append(fields, "Faults: true")
		}
		fmt.Fprintf(s, "\t\tSetup: bpf.Setup{%s},\n", strings.Join(fields, ", "))
	}
	if t.CheckVerifier {
		s.WriteString("\t\tCheckVerifier: true,\n")
	}
	if t.MaxInsns > 0 {
		fmt.Fprintf(s, "\t\tMaxInsns: %d,\n", t.MaxInsns)
	}
	if len(t.Invariants) > 0 {
		fmt.Fprintf(s, "\t\tInvariants: %#v,\n", t.Invariants)
	}
	if len(t.Oracles) > 0 {
		s.WriteString("\t\tOracles: map[string]bool{\n")
		for _, name := range slices.Sorted(maps.Keys(t.Oracles)) {
			fmt.Fprintf(s, "\t\t\t%q: %t,\n", name, t.Oracles[name])
		}
		s.WriteString("\t\t},\n")
	}
}
