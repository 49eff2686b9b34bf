package mutate

import "github.com/bpffuzz/bpffuzz/corpus"

// need is a set of conditions under which an operator makes sense at all.
type need uint16

const (
	needPacket need = 1 << iota
	needMeta
	needContext
	needSteps      // more than one step is allowed
	needDictionary // there is one
	needCPUs       // there are several to choose among
	needHeaders    // packets have some
	needChance     // helpers are answered from inputs
	needFaults     // calls can be made to fail
	needMaps       // inputs bring map entries
)

// operator changes one step of a child in one way. apply reports whether it
// could: false means that it changed nothing.
type operator struct {
	name   string
	weight int
	needs  need
	apply  func(m *Mutator, s *corpus.Step) bool
}

// operators is the whole policy of mutation. Weights are relative to each other;
// an operator whose needs the shape does not meet is left out. Fields and
// dictionary weigh most, since what a packet program compares are fields with
// constants of its own. Operators that change layers come next: they reach code
// that no change of a value reaches. Bytes are for what nobody thought of.
func operators() []operator {
	return []operator{
		{"flip-bit", 10, needPacket, flipBit},
		{"flip-byte", 3, needPacket, flipByte},
		{"arithmetic", 8, needPacket, arithmetic},
		{"interesting", 8, needPacket, interesting},
		{"random-byte", 8, needPacket, randomByte},
		{"random-word", 8, needPacket, randomWord},
		{"copy-block", 3, needPacket, copyBlock},
		{"insert-block", 3, needPacket, insertBlock},
		{"delete-block", 3, needPacket, deleteBlock},
		{"fill-block", 2, needPacket, fillBlock},
		{"resize", 4, needPacket, resize},
		{"splice-bytes", 3, needPacket, spliceBytes},
		{"splice-layers", 3, needHeaders, spliceLayers},
		{"dictionary-overwrite", 6, needPacket | needDictionary, dictionaryOverwrite},
		{"dictionary-insert", 2, needPacket | needDictionary, dictionaryInsert},

		{"field-value", 20, needHeaders, fieldValue},
		{"field-step", 8, needHeaders, fieldStep},
		{"field-random", 8, needHeaders, fieldRandom},
		{"field-dictionary", 20, needHeaders | needDictionary, fieldDictionary},
		{"header-length", 5, needHeaders, headerLength},

		{"insert-layer", 8, needHeaders, insertLayer},
		{"drop-layer", 5, needHeaders, dropLayer},
		{"duplicate-layer", 2, needHeaders, duplicateLayer},
		{"swap-layers", 2, needHeaders, swapLayers},
		{"retype-layer", 6, needHeaders, retypeLayer},
		{"retype-selector", 3, needHeaders, retypeSelector},
		{"insert-option", 8, needHeaders, insertOption},
		{"drop-options", 1, needHeaders, dropOptions},
		{"toggle-gre", 1, needHeaders, toggleGRE},
		{"reverse-flow", 2, needHeaders, reverseFlow},

		{"context-field", 20, needContext, contextField},
		{"context-clear", 1, needContext, contextClear},
		{"choose-cpu", 1, needCPUs, chooseCPU},
		{"meta-resize", 3, needMeta, metaResize},
		{"meta-bytes", 3, needMeta, metaBytes},
		{"chance-bytes", 12, needChance, chanceBytes},
		{"chance-shorter", 1, needChance, chanceShorter},
		{"fail-call", 20, needFaults, failCall},

		{"map-add", 12, needMaps, mapAdd},
		{"map-drop", 4, needMaps, mapDrop},
		{"map-splice", 3, needMaps, mapSplice},
		{"map-key", 6, needMaps, mapKey},
		{"map-value", 24, needMaps, mapValue},
		{"map-key-to-packet", 8, needMaps | needPacket, mapKeyToPacket},
		{"map-key-from-packet", 6, needMaps | needPacket, mapKeyFromPacket},

		{"repeat-step", 4, needSteps, repeatStep},
		{"insert-step", 3, needSteps | needPacket, insertStep},
		{"drop-step", 4, needSteps, dropStep},
		{"swap-steps", 2, needSteps, swapSteps},
		{"splice-steps", 4, needSteps, spliceSteps},
		{"follow-flow", 10, needSteps | needHeaders, followFlow},
		{"join-flow", 4, needSteps | needHeaders, joinFlow},
		{"carry-flow", 2, needSteps | needHeaders, carryFlow},
	}
}

// applicable keeps the operators whose needs the shape meets.
func (m *Mutator) applicable(all []operator) []operator {
	var have need
	if m.shape.Packet.Max > 0 {
		have |= needPacket
		if !m.shape.Payload {
			have |= needHeaders
		}
	}
	if m.shape.Meta.Max >= 4 {
		have |= needMeta
	}
	if len(m.fields) > 0 {
		have |= needContext
	}
	if m.maxSteps > 1 {
		have |= needSteps
	}
	if m.shape.CPUs > 1 {
		have |= needCPUs
	}
	if m.shape.ChanceSize >= 4 {
		have |= needChance
	}
	if len(m.shape.Faults) > 0 {
		have |= needFaults
	}
	if len(m.maps) > 0 {
		have |= needMaps
	}
	if len(m.dict.all) > 0 {
		have |= needDictionary
	}
	var ops []operator
	for _, op := range all {
		if op.needs&have == op.needs {
			ops = append(ops, op)
		}
	}
	return ops
}

// fillChoice gives each operator its share of the table, at least one entry.
func (m *Mutator) fillChoice() {
	total := 0
	for _, op := range m.ops {
		total += op.weight
	}
	sum, at := 0, 0
	for i, op := range m.ops {
		sum += op.weight
		for end := sum * len(m.choice) / total; at < end; at++ {
			m.choice[at] = uint8(i)
		}
	}
}
