package triage

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func TestMinimiseFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		from  uint32
		fails func(n uint32) bool
		want  uint32
	}{
		{"not needed", 3, func(uint32) bool { return true }, 0},
		{"that one", 3, func(n uint32) bool { return n == 3 }, 3},
		{"an earlier one does", 9, func(n uint32) bool { return n == 9 || n == 4 || n == 5 }, 4},
		{"far away", 1 << 31, func(n uint32) bool { return n == 1<<31 }, 1 << 31},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := inputOf(udpPacket(1, 2, 3))
			in.Steps[0].Fault = tt.from
			got, err := Minimise(in, func(in *corpus.Input) (bool, error) { return tt.fails(in.Steps[0].Fault), nil })
			if err != nil {
				t.Fatal(err)
			}
			if got.Steps[0].Fault != tt.want {
				t.Errorf("call %d fails after minimisation, want %d", got.Steps[0].Fault, tt.want)
			}
		})
	}
}
