//! Detects CUDA by file names alone.
//!
//! Burn starts CUDA on a separate thread, which panics without a driver. Therefore the program
//! looks for the files first, in the folders of the system's loader. It loads no library and opens
//! no device.

use std::path::{Path, PathBuf};

use crate::system::error::Hint;

/// Why no CUDA device can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CudaProblem {
    /// The loader cannot find the driver's library.
    #[error("no NVIDIA driver found: the loader cannot find `libcuda.so.1`")]
    NoDriver,
    /// The driver lists no device.
    #[error("the NVIDIA driver shows no GPU")]
    NoDevice,
    /// The environment hides all devices.
    #[error("CUDA_VISIBLE_DEVICES hides every GPU of {present}")]
    Hidden {
        /// Number of GPUs that the driver lists.
        present: usize,
    },
    /// This program compiles kernels with NVRTC, which is missing.
    #[error(
        "this program was built with `cuda-offline` and needs `libnvrtc.so`, \
         which the loader cannot find"
    )]
    NoCompiler,
    /// NVRTC needs header files that are missing.
    #[error(
        "this program was built with `cuda-offline` and needs CUDA's header files, \
         which are not in {looked_in}"
    )]
    NoHeaders {
        /// The folders that were searched.
        looked_in: String,
    },
}

impl Hint for CudaProblem {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoDriver => {
                "install NVIDIA's driver, or add the folder of its library to LD_LIBRARY_PATH"
            }
            Self::NoDevice => {
                "check the output of `nvidia-smi`, and start containers with access to GPUs"
            }
            Self::Hidden { .. } => "unset CUDA_VISIBLE_DEVICES, or name the GPUs to use there",
            Self::NoCompiler => {
                "install the CUDA toolkit, or add the folder of its library to LD_LIBRARY_PATH"
            }
            Self::NoHeaders { .. } => "install the CUDA toolkit and point CUDA_PATH to it",
        };
        Some(hint.into())
    }
}

/// Returns the number of CUDA devices that this program can use, numbered from `cuda:0`.
///
/// # Errors
/// [`CudaProblem`] if there are none.
pub fn cuda_devices() -> Result<usize, CudaProblem> {
    Surroundings::of_this_process().devices(cfg!(feature = "cuda-offline"))
}

/// The files and variables that the loader and CUDA read.
#[derive(Clone, Debug)]
struct Surroundings {
    /// `/`, except in tests.
    root: PathBuf,
    /// LD_LIBRARY_PATH.
    library_path: Vec<PathBuf>,
    /// CUDA_VISIBLE_DEVICES.
    visible: Option<String>,
    /// CUDA_PATH.
    toolkit: Option<PathBuf>,
}

/// The folders that the loader searches by default.
const STANDARD_FOLDERS: [&str; 4] = ["lib64", "usr/lib64", "lib", "usr/lib"];

impl Surroundings {
    fn of_this_process() -> Self {
        let library_path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        Self {
            root: PathBuf::from("/"),
            library_path: std::env::split_paths(&library_path)
                .filter(|path| path.is_absolute())
                .collect(),
            visible: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            toolkit: std::env::var_os("CUDA_PATH").map(PathBuf::from),
        }
    }

    fn devices(&self, compiles_with_nvrtc: bool) -> Result<usize, CudaProblem> {
        if !self.has_library(&["libcuda.so.1", "libcuda.so"]) {
            return Err(CudaProblem::NoDriver);
        }
        let present = self.present();
        match self.visible_of(present) {
            _ if present == 0 => Err(CudaProblem::NoDevice),
            0 => Err(CudaProblem::Hidden { present }),
            visible if compiles_with_nvrtc => self.compiler().map(|()| visible),
            visible => Ok(visible),
        }
    }

    /// Number of GPUs of this machine.
    fn present(&self) -> usize {
        let listed = count_entries(&self.root.join("proc/driver/nvidia/gpus"), |_| true);
        // Containers may have the device files without the driver's list. WSL has neither, only
        // `dev/dxg`.
        let shared = usize::from(self.root.join("dev/dxg").exists());
        listed
            .max(count_entries(&self.root.join("dev"), |name: &str| {
                name.strip_prefix("nvidia").is_some_and(|rest| rest.parse::<u32>().is_ok())
            }))
            .max(shared)
    }

    /// Number of GPUs that CUDA_VISIBLE_DEVICES leaves. CUDA reads its list up to the first invalid
    /// name.
    fn visible_of(&self, present: usize) -> usize {
        let Some(visible) = &self.visible else { return present };
        visible
            .split(',')
            .take_while(|name: &&str| match name.trim().parse::<usize>() {
                Ok(number) => number < present,
                Err(_) => ["GPU-", "MIG-"].iter().any(|kind| name.trim().starts_with(kind)),
            })
            .count()
    }

    fn compiler(&self) -> Result<(), CudaProblem> {
        // The names under which it is loaded, newest first.
        if !self.has_library(&["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"]) {
            return Err(CudaProblem::NoCompiler);
        }
        let usual = ["usr/local/cuda", "opt/cuda", "usr"].map(|folder| self.root.join(folder));
        let folders = self.toolkit.clone().map_or(usual.to_vec(), |toolkit| vec![toolkit]);
        let includes: Vec<PathBuf> = folders.iter().map(|folder| folder.join("include")).collect();
        if includes.iter().any(|include| include.join("cuda_bf16.h").is_file()) {
            return Ok(());
        }
        let names: Vec<String> =
            includes.iter().map(|include| include.display().to_string()).collect();
        Err(CudaProblem::NoHeaders { looked_in: names.join(", ") })
    }

    /// Returns true if the loader would find one of these libraries.
    fn has_library(&self, names: &[&str]) -> bool {
        let standard = STANDARD_FOLDERS.map(|folder| self.root.join(folder));
        self.library_path
            .iter()
            .chain(&standard)
            .any(|folder: &PathBuf| names.iter().any(|name| folder.join(name).exists()))
            || self.is_in_the_cache(names)
    }

    /// Returns true if the loader's cache lists one of these libraries. The cache contains paths as
    /// zero-terminated text, and may list files that no longer exist.
    fn is_in_the_cache(&self, names: &[&str]) -> bool {
        let cache = std::fs::read(self.root.join("etc/ld.so.cache")).unwrap_or_default();
        let paths =
            cache.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
        let is_one = |path: &Path| {
            path.file_name().is_some_and(|file| names.iter().any(|name| file == *name))
        };
        paths
            .map(Path::new)
            .filter(|path| is_one(path))
            .filter_map(|path: &Path| path.strip_prefix("/").ok().map(|path| self.root.join(path)))
            .any(|path| path.exists())
    }
}

/// Number of entries of a folder with wanted names; 0 if the folder does not exist.
fn count_entries(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(&is_wanted)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root folder with these empty files.
    fn machine(files: &[&str]) -> (tempfile::TempDir, Surroundings) {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let surroundings = Surroundings {
            root: root.path().to_owned(),
            library_path: Vec::new(),
            visible: None,
            toolkit: None,
        };
        (root, surroundings)
    }

    const DRIVER: &str = "usr/lib64/libcuda.so.1";
    const TWO_GPUS: [&str; 3] = [
        DRIVER,
        "proc/driver/nvidia/gpus/0000:01/information",
        "proc/driver/nvidia/gpus/0000:02/i",
    ];

    #[test]
    fn a_machine_without_a_driver_has_no_cuda() {
        let (_root, bare) = machine(&["dev/nvidia0"]);
        assert_eq!(bare.devices(false), Err(CudaProblem::NoDriver));
        let (_root, without_a_gpu) = machine(&[DRIVER, "dev/nvidiactl"]);
        assert_eq!(without_a_gpu.devices(false), Err(CudaProblem::NoDevice));
    }

    #[test]
    fn gpus_are_counted_by_the_drivers_list_or_by_devices() {
        let (_root, listed) = machine(&TWO_GPUS);
        assert_eq!(listed.devices(false), Ok(2));
        let (_root, in_a_container) =
            machine(&[DRIVER, "dev/nvidia0", "dev/nvidia-uvm", "dev/nvidiactl"]);
        assert_eq!(in_a_container.devices(false), Ok(1));
    }

    #[test]
    fn the_environment_hides_gpus() {
        let (_root, machine) = machine(&TWO_GPUS);
        let seen = |visible: &str| {
            Surroundings { visible: Some(visible.into()), ..machine.clone() }.devices(false)
        };
        assert_eq!(seen("1"), Ok(1));
        assert_eq!(seen("0, 1"), Ok(2));
        assert_eq!(seen("0,7,1"), Ok(1));
        assert_eq!(seen("GPU-5ebe9f43"), Ok(1));
        assert_eq!(seen(""), Err(CudaProblem::Hidden { present: 2 }));
        assert_eq!(seen("-1"), Err(CudaProblem::Hidden { present: 2 }));
    }

    #[test]
    fn an_entry_of_the_loaders_cache_counts_if_its_file_exists() {
        let (root, machine) = machine(&["opt/nvidia/libcuda.so.1", "dev/nvidia0"]);
        assert_eq!(machine.devices(false), Err(CudaProblem::NoDriver));
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        let cache = |path: &str| {
            std::fs::write(
                root.path().join("etc/ld.so.cache"),
                format!("\u{1}\0libcuda.so.1\0{path}\0"),
            )
            .unwrap();
        };
        cache("/opt/gone/libcuda.so.1");
        assert_eq!(machine.devices(false), Err(CudaProblem::NoDriver));
        cache("/opt/nvidia/libcuda.so.1");
        assert_eq!(machine.devices(false), Ok(1));
    }

    #[test]
    fn nvrtc_and_its_headers_are_needed_only_for_cuda_offline() {
        let (root, machine) = machine(&[DRIVER, "dev/nvidia0", "wheel/lib/libnvrtc.so.13"]);
        assert_eq!(machine.devices(false), Ok(1));
        assert_eq!(machine.devices(true), Err(CudaProblem::NoCompiler));
        let machine = Surroundings { library_path: vec![root.path().join("wheel/lib")], ..machine };
        assert!(matches!(machine.devices(true), Err(CudaProblem::NoHeaders { .. })));
        std::fs::create_dir_all(root.path().join("wheel/include")).unwrap();
        std::fs::write(root.path().join("wheel/include/cuda_bf16.h"), "").unwrap();
        let machine = Surroundings { toolkit: Some(root.path().join("wheel")), ..machine };
        assert_eq!(machine.devices(true), Ok(1));
    }
}
