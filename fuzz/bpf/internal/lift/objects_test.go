package lift

import (
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// TestExamples says how much is known of the comparisons of real programs.
func TestExamples(t *testing.T) {
	objects, err := filepath.Glob("../../../../examples/*/*.o")
	if err != nil || len(objects) == 0 {
		t.Fatalf("no objects: %v", err)
	}
	for _, object := range objects {
		spec, err := ebpf.LoadCollectionSpec(object)
		if err != nil {
			t.Fatal(err)
		}
		for name, prog := range spec.Programs {
			funcs, err := cfg.Split(prog.Instructions)
			if err != nil {
				t.Fatal(err)
			}
			p := Analyze(funcs, Options{Context: xdp})
			branches, sources := 0, map[cover.Source]int{}
			for j, f := range funcs {
				for i := range f.Insns {
					if cfg.IsBranch(&f.Insns[i]) {
						a, _ := p.Operands(j, i)
						branches++
						sources[a.Source]++
					}
				}
			}
			t.Logf("%s: %d branches, first operands %v", name, branches, sources)
			if known := branches - sources[cover.Elsewhere]; prog.Type == ebpf.XDP && known < branches/3 {
				t.Errorf("%s: of %d branches only %d have a first operand that is known", name, branches, known)
			}
		}
	}
}
