package solve

import "context"

// maxSteps bounds the runs of one climb.
const maxSteps = 400

// climb changes one byte after the other and keeps what brings the operands closer.
func (st *study) climb(ctx context.Context, sub *subject) error {
	c := &st.sites[sub.Site]
	deps := append(sub.deps[0][:len(sub.deps[0]):len(sub.deps[0])], sub.deps[1]...)
	in, best := st.in, c.Distance(sub.Compared, sub.taken)
	for runs, improved := 0, true; improved && runs < maxSteps; {
		improved = false
		for _, p := range deps {
			b := p.bytes(in)
			if b == nil {
				continue
			}
			for _, v := range [...]byte{0xff, 0, b[0] + 64, b[0] - 64, b[0] + 16, b[0] - 16, b[0] + 4, b[0] - 4, b[0] + 1, b[0] - 1} {
				next := apply(st.shape, in, edit{place: p, data: []byte{v}})
				if next == nil || v == p.bytes(in)[0] {
					continue
				}
				runs++
				compared, _, err := st.compare(ctx, next)
				if err != nil {
					return err
				}
				got, ok := find(compared, sub.which)
				if !ok {
					continue
				}
				if d := c.Distance(got, sub.taken); d < best {
					in, best, improved = next, d, true
				}
				if best == 0 {
					return st.try(ctx, in, sub.goal, nil)
				}
			}
		}
	}
	return nil
}
