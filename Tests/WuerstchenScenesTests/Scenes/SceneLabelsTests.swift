import Testing
import WuerstchenScenes

@Suite struct SceneLabelsTests {
    @Test func attributesHaveTheClassesOfTheDomain() {
        #expect(SceneAttribute.allCases.map(\.classCount) == [5, 7, 3, 2, 5, 4, 4, 3])
    }
}
