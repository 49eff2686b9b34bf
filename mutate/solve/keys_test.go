package solve

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// asking looks a key up, made of two bytes of the packet.
type asking struct {
	key   func(packet []byte) uint32
	want  uint32
	found bool
	tried int
}

func (a *asking) Compare(_ context.Context, in *corpus.Input) ([]cover.Compared, []cover.Lookup, error) {
	key := a.key(in.Steps[0].Packet)
	a.found = a.found || key == a.want
	return nil, []cover.Lookup{{Map: "calls", Key: binary.NativeEndian.AppendUint32(nil, key), Found: key == a.want}}, nil
}

func (a *asking) Try(ctx context.Context, in *corpus.Input) error {
	a.tried++
	_, _, err := a.Compare(ctx, in)
	return err
}

func (a *asking) Open(int, bool) bool { return true }

func TestKeysOfTablesAreSolved(t *testing.T) {
	for _, tt := range []struct {
		name string
		key  func(packet []byte) uint32
		want uint32
	}{
		{"as it is", func(p []byte) uint32 { return uint32(p[5]) }, 0x21},
		{"with bits inverted", func(p []byte) uint32 { return uint32(p[5] ^ 0x80) }, 0x93},
		{"network order", func(p []byte) uint32 { return uint32(binary.BigEndian.Uint16(p[5:])) }, 0x1234},
		{"a constant added", func(p []byte) uint32 { return uint32(p[5]) + 0x37 }, 0x40},
		{"shifted", func(p []byte) uint32 { return uint32(p[5]>>3) & 0xf }, 0xb},
		{"multiplied", func(p []byte) uint32 { return uint32(p[5]) * 3 }, 0x60},
		{"of two bytes", func(p []byte) uint32 { return uint32(p[5]) + uint32(p[6])<<4 }, 0x345},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shape := *packets
			shape.Tables = []corpus.MapShape{{
				Name: "calls", Kind: "prog_array", KeySize: 4,
				Keys: [][]byte{binary.NativeEndian.AppendUint32(nil, tt.want)},
			}}
			engine := &asking{key: tt.key, want: tt.want}
			s := New(&shape, &cover.Table{}, engine, Options{})
			if err := s.Solve(t.Context(), onePacket(14)); err != nil {
				t.Fatal(err)
			}
			for s.Pending() {
				if err := s.Study(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if !engine.found || engine.tried > 100 {
				t.Errorf("found is %v after %d executions", engine.found, engine.tried)
			}
		})
	}
}
