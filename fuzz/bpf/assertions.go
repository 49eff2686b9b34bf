package bpf

import (
	_ "embed"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

//go:embed include/bpffuzz.h
var header string

// Header returns the text of bpffuzz.h, a C header with bpffuzz_assert: what a program
// asserts of itself is judged by the oracle "assert".
func Header() string { return header }

// assertMacro is the macro's name.
const assertMacro = "bpffuzz_assert"

// assertions lists the lines of the programs that have an assertion, once each, in the
// order of their instructions. There are none where the object does not have the map that
// an assertion writes to when it fails.
func assertions(spec *ebpf.CollectionSpec, programs []*ebpf.ProgramSpec) []cover.Pos {
	if spec.Maps[corpus.AssertMap] == nil {
		return nil
	}
	var list []cover.Pos
	seen := map[cover.Pos]bool{}
	for _, prog := range programs {
		code := prog.Instructions
		for i := range code {
			line, ok := code[i].Source().(*btf.Line)
			if !ok || line == nil || !strings.Contains(line.Line(), assertMacro) {
				continue
			}
			pos := cover.Pos{File: line.FileName(), Line: int(line.LineNumber()), Text: strings.TrimSpace(line.Line())}
			if !seen[pos] {
				seen[pos] = true
				list = append(list, pos)
			}
		}
	}
	return list
}
