import Foundation

/// The customary names of folders whose images count several times: `10_windmill` for ten times,
/// and "windmill" as the caption of images that have none.
struct FolderRepeats {
    /// How often an image counts.
    let count: Int
    /// The caption where there is no other.
    let caption: String

    /// More would be a mistake, such as a year.
    static let maximum = 1000

    /// What the folder that an image lies in says; nil where it is called otherwise.
    init?(of path: String) {
        let folders = path.split(separator: "/").dropLast()
        guard let folder = folders.last, let line = folder.firstIndex(of: "_"),
            let count = Int(folder[..<line]), (1...Self.maximum).contains(count)
        else { return nil }
        self.count = count
        caption = folder[line...].dropFirst().trimmingCharacters(in: .whitespaces)
    }
}
