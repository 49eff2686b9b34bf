package triage

import "github.com/bpffuzz/bpffuzz/corpus"

// dataField returns the field of xdp_md that says how much metadata precedes the
// output packet; nil where there can be none.
func dataField(shape *corpus.Shape) *corpus.Field {
	for i := range shape.Output {
		if shape.Meta.Max > 0 && shape.Output[i].Name == "data" {
			return &shape.Output[i]
		}
	}
	return nil
}

// splitMeta parts what the kernel gives back of an XDP packet into metadata and
// packet. Where the outcome has no context, the metadata is taken to be as long as
// the input's; triage asks again with one. Data is dataField's.
func splitMeta(data *corpus.Field, step *corpus.Step, out *corpus.StepOutcome) (meta, packet []byte) {
	if data == nil {
		return nil, out.Packet
	}
	n, ok := fieldValue(data, out.Context)
	if !ok {
		n = uint64(len(step.Meta))
	}
	n = min(n, uint64(len(out.Packet)))
	return out.Packet[:n:n], out.Packet[n:]
}
