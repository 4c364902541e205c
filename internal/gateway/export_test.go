package gateway

// Polls tells whether an agent polls, or did so lately.
func (g *Gateway) Polls(instanceID string) bool {
	b := g.find(instanceID)
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.poll != nil || b.grace != nil
}
