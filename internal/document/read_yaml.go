package document

import (
	"errors"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// jsonNumber is what JSON takes for a number. YAML takes more (0x1f, .inf,
// 1_000); those stay the text they were written as.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// readYAML reads one YAML document. Anchors and aliases are expanded within
// maxNodes and maxExpanded; merge keys and tags of one's own are refused, as
// JSON, which is what goes to the agents, has neither.
func readYAML(content []byte) (*node, error) {
	if i := invalidUTF8(content); i >= 0 {
		c := cursor{content: content, place: place{line: 1, column: 1}}
		return nil, malformed(FormatYAML, c.to(i), errors.New("the text is not UTF-8"))
	}
	var root yaml.Node
	err := yaml.Load(content, &root, yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		at := place{line: 1, column: 1}
		var load *yaml.LoadError
		if errors.As(err, &load) && load.Mark.Line > 0 {
			at = place{line: load.Mark.Line, column: load.Mark.Column}
		}
		return nil, malformed(FormatYAML, at, err)
	}
	r := yamlReader{nodes: maxNodes, bytes: maxExpanded}
	return r.value(&root, 0)
}

type yamlReader struct {
	nodes, bytes int // what is left
}

func (r *yamlReader) value(y *yaml.Node, depth int) (*node, error) {
	at := place{line: y.Line, column: y.Column}
	r.nodes--
	r.bytes -= len(y.Value)
	switch {
	case depth > maxDepth:
		return nil, invalid("The document is nested more than %d levels deep. at Line: %d, Column: %d", maxDepth, at.line, at.column)
	case r.nodes < 0, r.bytes < 0:
		return nil, invalid("The document's aliases make it too large. at Line: %d, Column: %d", at.line, at.column)
	}
	switch y.Kind {
	case yaml.DocumentNode:
		if len(y.Content) != 1 {
			return nil, malformed(FormatYAML, at, errors.New("there is no document"))
		}
		return r.value(y.Content[0], depth)
	case yaml.AliasNode:
		return r.value(y.Alias, depth+1)
	case yaml.SequenceNode:
		n := &node{kind: list, items: make([]*node, 0, len(y.Content)), place: at}
		for _, c := range y.Content {
			item, err := r.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		return n, nil
	case yaml.MappingNode:
		return r.object(y, depth)
	case yaml.ScalarNode:
		return yamlScalar(y, at)
	default:
		return nil, malformed(FormatYAML, at, errors.New("a value is missing"))
	}
}

func (r *yamlReader) object(y *yaml.Node, depth int) (*node, error) {
	n := &node{kind: object, members: make([]member, 0, len(y.Content)/2), place: place{line: y.Line, column: y.Column}}
	seen := map[string]bool{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		for hops := 0; key.Kind == yaml.AliasNode && hops < maxDepth; hops++ {
			key = key.Alias
		}
		at := y.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			return nil, invalid("A property's name must be text. at Line: %d, Column: %d", at.Line, at.Column)
		case key.ShortTag() == "!!merge":
			return nil, invalid("YAML merge keys (<<) are not supported: write the properties out. at Line: %d, Column: %d", at.Line, at.Column)
		case seen[key.Value]:
			return nil, invalid("Property %q comes twice. at Line: %d, Column: %d", key.Value, at.Line, at.Column)
		}
		r.bytes -= len(key.Value)
		seen[key.Value] = true
		value, err := r.value(y.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, member{key: key.Value, value: value})
	}
	return n, nil
}

func yamlScalar(y *yaml.Node, at place) (*node, error) {
	switch tag := y.ShortTag(); tag {
	case "!!null":
		return &node{kind: null, place: at}, nil
	case "!!bool":
		return &node{kind: boolean, text: strings.ToLower(y.Value), place: at}, nil
	case "!!int", "!!float":
		if jsonNumber.MatchString(y.Value) {
			return &node{kind: number, text: y.Value, place: at}, nil
		}
		return &node{kind: text, text: y.Value, place: at}, nil
	case "!!str", "!!timestamp", "!!merge":
		return &node{kind: text, text: y.Value, place: at}, nil
	default:
		return nil, invalid("YAML tag %s is not supported. at Line: %d, Column: %d", tag, at.line, at.column)
	}
}
