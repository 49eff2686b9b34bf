package bpf

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// sampleObjects returns compiled objects that nobody here wrote.
func sampleObjects(t *testing.T) []string {
	t.Helper()
	var paths []string
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cilium/ebpf").Output()
	patterns := []string{"/usr/lib/*/bpf/*.o"}
	if err == nil {
		patterns = append(patterns, filepath.Join(strings.TrimSpace(string(dir)), "testdata", "*-el.elf"))
	}
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Skip("no objects: neither the testdata of cilium/ebpf nor the packages xdp-tools and libxdp1 are here")
	}
	return paths
}

func TestShapesOfRealObjects(t *testing.T) {
	shapes := 0
	for _, path := range sampleObjects(t) {
		spec, err := ebpf.LoadCollectionSpec(path)
		if err != nil {
			continue // among the testdata are objects that do not parse
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			for name, prog := range spec.Programs {
				shape, err := newShape(spec, prog, testLimits)
				if _, refused := typeOf(prog); refused != nil {
					if err == nil {
						t.Errorf("%s of type %s has a shape", name, prog.Type)
					}
					continue
				}
				if row, _ := typeOf(prog); err != nil && row.special != nil {
					t.Logf("%s: %v", name, err) // what it watches cannot be run
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				shapes++
				for _, m := range shape.Maps {
					t.Logf("%s: map %s %s, %d and %d fields, %d words", name, m.Name, m.Kind, len(m.Key), len(m.Value), len(shape.Dictionary))
				}
			}
			for name, m := range spec.Maps {
				readBack(t, name+" key", m.Key, int(m.KeySize))
				readBack(t, name+" value", m.Value, int(m.ValueSize))
			}
		})
	}
	if shapes == 0 {
		t.Error("no object has a program with a shape")
	}
}

// readBack displays bytes as a type and encodes the text to the same display.
func readBack(t *testing.T, what string, typ btf.Type, size int) {
	t.Helper()
	if typ == nil || sizeOf(typ) != int64(size) || size > 4096 {
		return
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7)
	}
	text := display(typ, data)
	file, err := ParseTargetFile("t.yaml", []byte("variables: {v: "+text+"}"))
	if err != nil {
		t.Errorf("%s: %s: %v", what, text, err)
		return
	}
	back, err := encode(typ, size, what, file.Variables["v"])
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	if again := display(typ, back); again != text {
		t.Errorf("%s: %s reads back as %s", what, text, again)
	}
}
