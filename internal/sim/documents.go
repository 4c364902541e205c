package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"ssmrun/internal/wire"
)

// step is one plugin of a document, as results name it.
type step struct{ Name, Action string }

// documents remembers what was read lately: a command comes to every agent of
// the fleet with the same content.
type documents struct {
	mu    sync.Mutex
	steps map[string][]step // by a job's content
}

// maxDocuments is how many contents are remembered.
const maxDocuments = 16

// read gives the steps of a job's document. Only their names are looked at. Its
// errors may be shown to the sender.
func (d *documents) read(content string) ([]step, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.steps[content]; ok {
		return s, nil
	}
	s, err := readSteps(content)
	if err != nil {
		return nil, err
	}
	if len(d.steps) >= maxDocuments {
		clear(d.steps)
	}
	d.steps[content] = s
	return s, nil
}

func readSteps(content string) ([]step, error) {
	var p wire.SendCommandPayload
	if err := wire.Unmarshal([]byte(content), &p); err != nil {
		return nil, fmt.Errorf("the command cannot be read: %w", err)
	}
	var doc struct {
		MainSteps     []struct{ Action, Name string }
		RuntimeConfig map[string]json.RawMessage
	}
	if err := json.Unmarshal(p.DocumentContent, &doc); err != nil {
		return nil, fmt.Errorf("the document cannot be read: not the JSON of a document") // err could quote a parameter
	}
	var steps []step
	for _, s := range doc.MainSteps {
		steps = append(steps, step{s.Name, s.Action})
	}
	for action := range doc.RuntimeConfig { // of 1.2, where the plugin is the name
		steps = append(steps, step{action, action})
	}
	if doc.RuntimeConfig != nil {
		slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.Name, b.Name) })
	}
	return steps, nil
}
