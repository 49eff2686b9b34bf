package bpf

// apartEvery is how many batches there are for one whose inputs run apart.
const apartEvery = 64

// apart reports whether this batch is to be run input by input, each from the initial
// state. Inputs of several packets may depend on state that their neighbours spoil:
// without runs like these what they do would show by luck only. Single packets are
// neighbours at best.
func (b *batchExecutor) apart() bool {
	return b.target().shape.MaxSteps > 1 && b.batches%apartEvery == 0
}

// planApart is plan for such a batch.
func (b *batchExecutor) planApart() {
	b.jobs, b.rows, b.alone = b.jobs[:0], b.rows[:0], b.alone[:0]
	for i := range b.batch.Len() {
		b.alone = append(b.alone, i)
	}
}
