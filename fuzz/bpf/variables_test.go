package bpf

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func TestSetVariables(t *testing.T) {
	spec := testSpec()
	if err := setVariables(spec, map[string]any{"port": "be(443)", "name": "ab", "raw": "000102030405060708090a0b"}); err != nil {
		t.Fatal(err)
	}
	if got := spec.Variables["port"].Value; !bytes.Equal(got, []byte{1, 0xbb}) {
		t.Errorf("port is %x", got)
	}
	if got := spec.Variables["name"].Value; string(got) != "ab\x00\x00\x00\x00\x00\x00" {
		t.Errorf("name is %q", got)
	}
	bss := spec.Maps[".bss"].Value.(*btf.Datasec)
	bss.Vars = append(
		bss.Vars,
		btf.VarSecinfo{Type: &btf.Var{Name: "twin", Type: testU32}, Size: 4},
		btf.VarSecinfo{Type: &btf.Var{Name: "twin", Type: testU32}, Offset: 4, Size: 4},
		btf.VarSecinfo{Type: &btf.Var{Name: "outside", Type: testU64}, Offset: 4, Size: 8},
	)
	for _, tt := range []struct {
		name  string
		value any
		want  string
	}{
		{"prt", 1, `variables: the object has no variable "prt"; did you mean port?`},
		{"port", Located{"t.yaml:3", "65536"}, "t.yaml:3: variable port: 65536 does not fit 2 bytes (0 to 65535)"},
		{"twin", 1, "variable twin: 2 static variables have this name: rename the one that is meant"},
		{"outside", 1, `variable outside: cannot be set: section ".bss" does not reach that far`},
	} {
		if err := setVariables(spec, map[string]any{tt.name: tt.value}); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

// Variables that only one file of the object sees are set as well.
func TestStaticVariables(t *testing.T) {
	needKernel(t)
	conf := func(count, verdict int) any {
		return map[string]any{"magic": 236, "count": count, "verdicts": []any{2, 2, 2, verdict}}
	}
	for _, tt := range []struct {
		name    string
		values  map[string]any
		verdict uint32
	}{
		{"as it is", nil, 2},
		{"constant", map[string]any{"conf": conf(3, 1)}, 1},
		{"variable", map[string]any{"seen": 1000}, 0},
		{"both", map[string]any{"conf": conf(3, 4), "seen": 5}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obj, err := Open("testdata/types/variables.o")
			if err != nil {
				t.Fatal(err)
			}
			target, err := NewTarget(obj, Options{Setup: Setup{Variables: tt.values}})
			if err != nil {
				t.Fatal(err)
			}
			in := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 60)}}}
			onExecutor(t, target, func(e *executor) {
				for range 2 { // the second run starts from the same values
					out, err := e.Alone(t.Context(), in, 0)
					if err != nil {
						t.Fatal(err)
					}
					if got := out.Steps[0].Ret; got != tt.verdict {
						t.Errorf("verdict %d, want %d", got, tt.verdict)
					}
				}
			})
		})
	}
}
